"""Benchmarks of the server under a closed loop of 200 submits in flight."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from loadtest.bench.backend import Backend, backend
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial
from loadtest.bench.process import HOST, free_port, grpc_ready, json_of, running
from loadtest.bench.spread import ratios

IN_FLIGHT = 200
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load, and in which shape it is loaded."""

    address: str
    pid: int
    shape: str = "unary"


@dataclass(frozen=True, slots=True)
class Pace:
    """`cpu` is server CPU per image in microseconds; `rate` is images a second."""

    cpu: float
    rate: float


async def measure(target: Target, trial: Trial, in_flight: int = IN_FLIGHT) -> Pace:
    load: dict[str, Any] = await json_of(
        "loadtest.bench.generator",
        [
            *("--address", target.address, "--pid", str(target.pid), "--shape", target.shape),
            *("--in-flight", str(in_flight), "--seconds", str(trial.seconds)),
        ],
    )
    return Pace(load["server_cpu"] / load["images"] * _US, load["images"] / load["seconds"])


@asynccontextmanager
async def server(
    module: str, aws: Backend, *arguments: str, shape: str = "unary"
) -> AsyncIterator[Target]:
    """A server process that answers."""
    address = f"{HOST}:{free_port()}"
    settings = {**aws.settings("server"), "GRPC_ADDRESS": address}
    given = (*arguments, "--address", address) if arguments else ()
    async with running(module, *given, environment=settings) as process:
        await grpc_ready(process, address)
        yield Target(address, process.pid, shape)


@dataclass(frozen=True, slots=True)
class Compared:
    """Round by round, ours and the other's."""

    ours: tuple[Pace, ...]
    other: tuple[Pace, ...]

    def cpu(self, *, ours_over_other: bool = True) -> tuple[float, ...]:
        pair = [pace.cpu for pace in self.ours], [pace.cpu for pace in self.other]
        return ratios(*pair) if ours_over_other else ratios(*reversed(pair))

    def rate(self) -> tuple[float, ...]:
        return ratios([pace.rate for pace in self.ours], [pace.rate for pace in self.other])


async def compare(ours: Target, other: Target, trial: Trial) -> Compared:
    """ABAB: each round measures one and then the other."""
    pairs = [(await measure(ours, trial), await measure(other, trial)) for _ in range(trial.rounds)]
    return Compared(tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs))


def paces(name: str, measured: Sequence[Pace]) -> list[Figure]:
    return [
        Figure(f"{name}: server CPU per image", "µs", tuple(pace.cpu for pace in measured)),
        Figure(f"{name}: images per second", "/s", tuple(pace.rate for pace in measured)),
    ]


async def _against_empty(trial: Trial) -> list[Figure]:
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(backend(trial))
        ours = await stack.enter_async_context(server("server", aws))
        bare = await stack.enter_async_context(server("loadtest.bench.bare_server", aws, "empty"))
        compared = await compare(ours, bare, trial)
    return [
        Figure("server CPU per request, durable over empty", "x", compared.cpu(), "at most 2.0"),
        Figure("requests per second, durable over empty", "x", compared.rate()),
        *paces("durable unary", compared.ours),
        *paces("empty handler", compared.other),
    ]


async def _against_one_each(trial: Trial) -> list[Figure]:
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(backend(trial))
        ours = await stack.enter_async_context(server("server", aws))
        single = await stack.enter_async_context(server("loadtest.bench.unbatched", aws))
        drawn = await stack.enter_async_context(server("loadtest.bench.bare_server", aws, "single"))
        compared = await compare(ours, single, trial)
        first = await compare(ours, drawn, trial)
    return [
        Figure("requests per second over batches of one", "x", compared.rate(), "at least 3.5"),
        Figure("requests per second over the SDK's put and send", "x", first.rate()),
        *paces("durable unary", compared.ours),
        *paces("same server, batches of one", compared.other),
        *paces("PutItem and SendMessage by the SDK", first.other),
    ]


async def _bulk_against_unary(trial: Trial) -> list[Figure]:
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(backend(trial))
        unary = await stack.enter_async_context(server("server", aws))
        bulk = Target(unary.address, unary.pid, "bulk")
        compared = await compare(bulk, unary, trial)
    return [
        Figure("server CPU per image, bulk over unary", "x", compared.cpu(), "at most 0.5"),
        Figure("images per second, bulk over unary", "x", compared.rate()),
        *paces("bulk", compared.ours),
        *paces("unary", compared.other),
    ]


UNARY = Benchmark(
    "unary", "Durable unary submit, against an empty handler", (NULL, EMBEDDED), _against_empty
)
BATCHED = Benchmark(
    "batched",
    "Durable unary submit, against one put and one send per request",
    (NULL, EMBEDDED),
    _against_one_each,
)
BULK = Benchmark(
    "bulk", "Bulk stream, against durable unary submit", (NULL, EMBEDDED), _bulk_against_unary
)

"""Benchmarks of the server under a closed loop of 200 submits in flight."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from loadtest.bench import goals
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.turns import there_and_back
from loadtest.bench.load.generator import Load
from loadtest.bench.results.spread import ratios
from loadtest.bench.system.backend import Backend, backend
from loadtest.bench.system.process import HOST, free_port, grpc_ready, json_of, running

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
    """`cpu` is server CPU per image in microseconds, `load_cpu` the load generator's; `rate` is images a second."""

    cpu: float
    rate: float
    load_cpu: float


def pace(turns: Sequence[Load]) -> Pace:
    """Of all turns of a round together."""
    images = sum(turn.images for turn in turns)
    return Pace(
        cpu=sum(turn.server_cpu for turn in turns) / images * _US,
        rate=images / sum(turn.seconds for turn in turns),
        load_cpu=sum(turn.own_cpu for turn in turns) / images * _US,
    )


async def measure(target: Target, seconds: float, in_flight: int = IN_FLIGHT) -> Load:
    return Load(
        **await json_of(
            "loadtest.bench.load.generator",
            [
                *("--address", target.address, "--pid", str(target.pid), "--shape", target.shape),
                *("--in-flight", str(in_flight), "--seconds", str(seconds)),
            ],
        )
    )


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

    def cpu(self) -> tuple[float, ...]:
        return ratios([pace.cpu for pace in self.ours], [pace.cpu for pace in self.other])

    def rate(self) -> tuple[float, ...]:
        return ratios([pace.rate for pace in self.ours], [pace.rate for pace in self.other])


async def compare(ours: Target, other: Target, trial: Trial) -> Compared:
    """Each round gives both their turns there and back, which are as long together as the trial says."""
    rounds = [await _round(ours, other, trial.seconds / 2) for _ in range(trial.rounds)]
    return Compared(tuple(each[0] for each in rounds), tuple(each[1] for each in rounds))


async def _round(ours: Target, other: Target, seconds: float) -> tuple[Pace, Pace]:
    turns: dict[Target, list[Load]] = {ours: [], other: []}
    for target in there_and_back((ours, other)):
        turns[target].append(await measure(target, seconds))
    return pace(turns[ours]), pace(turns[other])


def paces(name: str, measured: Sequence[Pace]) -> list[Figure]:
    load = "load generator's CPU per image"
    return [
        Figure(f"{name}: server CPU per image", "µs", tuple(pace.cpu for pace in measured)),
        Figure(f"{name}: {load}", "µs", tuple(pace.load_cpu for pace in measured)),
        Figure(f"{name}: images per second", "/s", tuple(pace.rate for pace in measured)),
    ]


async def _against_empty(trial: Trial) -> list[Figure]:
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(backend(trial))
        ours = await stack.enter_async_context(server("server", aws))
        bare = await stack.enter_async_context(
            server("loadtest.bench.contestants.bare_server", aws, "empty")
        )
        compared = await compare(ours, bare, trial)
    return [
        Figure(
            "server CPU per request, durable over empty",
            "x",
            compared.cpu(),
            goals.DURABLE_OVER_EMPTY,
        ),
        Figure("requests per second, durable over empty", "x", compared.rate()),
        *paces("durable unary", compared.ours),
        *paces("empty handler", compared.other),
    ]


async def _against_one_each(trial: Trial) -> list[Figure]:
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(backend(trial))
        ours = await stack.enter_async_context(server("server", aws))
        single = await stack.enter_async_context(
            server("loadtest.bench.contestants.unbatched", aws)
        )
        drawn = await stack.enter_async_context(
            server("loadtest.bench.contestants.bare_server", aws, "single")
        )
        compared = await compare(ours, single, trial)
        first = await compare(ours, drawn, trial)
    return [
        Figure(
            "requests per second over batches of one",
            "x",
            compared.rate(),
            goals.OVER_BATCHES_OF_ONE,
        ),
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
        Figure("server CPU per image, bulk over unary", "x", compared.cpu(), goals.BULK_OVER_UNARY),
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

"""Benchmarks of the server under a closed loop of 200 images in flight."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from loadtest.bench import thresholds
from loadtest.bench.benchmark import (
    EMBEDDED,
    NULL,
    Benchmark,
    Figure,
    Trial,
    balanced_order,
    ratios,
)
from loadtest.bench.load.generator import Load
from loadtest.bench.system.backend import backend
from loadtest.bench.system.process import json_of
from loadtest.bench.system.stages import Stage, server_stage

IN_FLIGHT = 200
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load, and the shape of the load: unary or bulk."""

    server: Stage
    shape: str = "unary"


@dataclass(frozen=True, slots=True)
class Pace:
    """`cpu` is server CPU per image in microseconds, `load_cpu` the load generator's; `rate` is images per second."""

    cpu: float
    rate: float
    load_cpu: float


def pace(turns: Sequence[Load]) -> Pace:
    """Combine the turns of one round, weighted by their images."""
    images = sum(turn.images for turn in turns)
    return Pace(
        cpu=sum(turn.server_cpu for turn in turns) / images * _US,
        rate=images / sum(turn.seconds for turn in turns),
        load_cpu=sum(turn.own_cpu for turn in turns) / images * _US,
    )


async def measure(target: Target, seconds: float, in_flight: int = IN_FLIGHT) -> Load:
    server, pid = target.server, str(target.server.process.pid)
    return Load(
        **await json_of(
            "loadtest.bench.load.generator",
            [
                *("--address", server.address, "--pid", pid, "--shape", target.shape),
                *("--in-flight", str(in_flight), "--seconds", str(seconds)),
            ],
        )
    )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The pace of both subjects by round."""

    ours: tuple[Pace, ...]
    other: tuple[Pace, ...]

    def cpu(self) -> tuple[float, ...]:
        return ratios([pace.cpu for pace in self.ours], [pace.cpu for pace in self.other])

    def rate(self) -> tuple[float, ...]:
        return ratios([pace.rate for pace in self.ours], [pace.rate for pace in self.other])


async def compare(ours: Target, other: Target, trial: Trial) -> Comparison:
    """Measure both in balanced order. The two turns of a subject in a round take `trial.seconds` together."""
    rounds = [await _round(ours, other, trial.seconds / 2) for _ in range(trial.rounds)]
    return Comparison(tuple(each[0] for each in rounds), tuple(each[1] for each in rounds))


async def _round(ours: Target, other: Target, seconds: float) -> tuple[Pace, Pace]:
    turns: list[tuple[Target, Load]] = [
        (target, await measure(target, seconds)) for target in balanced_order((ours, other))
    ]
    first, second = (
        pace([load for target, load in turns if target is each]) for each in (ours, other)
    )
    return first, second


def paces(name: str, measured: Sequence[Pace]) -> list[Figure]:
    load = "load generator's CPU per image"
    return [
        Figure(f"{name}: server CPU per image", "µs", tuple(pace.cpu for pace in measured)),
        Figure(f"{name}: {load}", "µs", tuple(pace.load_cpu for pace in measured)),
        Figure(f"{name}: images per second", "/s", tuple(pace.rate for pace in measured)),
    ]


async def _compare_with_empty(trial: Trial) -> list[Figure]:
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(backend(trial))
        ours = await stack.enter_async_context(server_stage(aws))
        empty = await stack.enter_async_context(
            server_stage(aws, "loadtest.bench.subjects.empty_server")
        )
        compared = await compare(Target(ours), Target(empty), trial)
    cpu = "server CPU per request, durable over empty"
    return [
        Figure(cpu, "x", compared.cpu(), thresholds.DURABLE_OVER_EMPTY),
        Figure("requests per second, durable over empty", "x", compared.rate()),
        *paces("durable unary", compared.ours),
        *paces("empty handler", compared.other),
    ]


async def _compare_bulk_with_unary(trial: Trial) -> list[Figure]:
    async with backend(trial) as aws, server_stage(aws) as server:
        compared = await compare(Target(server, "bulk"), Target(server), trial)
    cpu = "server CPU per image, bulk over unary"
    return [
        Figure(cpu, "x", compared.cpu(), thresholds.BULK_OVER_UNARY),
        Figure("images per second, bulk over unary", "x", compared.rate()),
        *paces("bulk", compared.ours),
        *paces("unary", compared.other),
    ]


_BOTH = (NULL, EMBEDDED)
UNARY = Benchmark(
    "unary", "Durable unary submit, against an empty handler", _BOTH, _compare_with_empty
)
BULK = Benchmark(
    "bulk", "Bulk stream, against durable unary submit", _BOTH, _compare_bulk_with_unary
)

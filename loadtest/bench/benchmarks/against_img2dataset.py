"""Our consumer against img2dataset: the same photographs from the same origin, verified to the same depth.

img2dataset has no setting that fetches, decodes and does nothing else for every format. So its download alone is set
against our `header`, and its decoding and encoding, less what encoding costs by itself, against our `full`. For JPEG
it can be told to skip the encoding; that figure stands beside, as a check on the subtraction. It keeps its defaults of
a SHA-256 and the EXIF of each picture, as ours does. What ours does beyond that (upload, record, notification, queue,
the address check, a perceptual hash) is in its cost, and nothing is taken off for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from loadtest.bench import goals
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.turns import there_and_back
from loadtest.bench.contestants.contestant import Contestant, Lap, together
from loadtest.bench.contestants.our_consumer import Verification, our_consumer
from loadtest.bench.goal import Goal
from loadtest.bench.img2dataset import encoding
from loadtest.bench.img2dataset.process import DECODE, DOWNLOAD, ENCODE, img2dataset
from loadtest.bench.photographs.collection import LARGE, SMALL, Kind
from loadtest.bench.results.spread import ratios
from loadtest.bench.system.backend import null_aws

WRITER = "parquet"
"""The cheapest of its formats that keep the pictures."""
USUAL_WRITER = "webdataset"
"""What many of its examples write; beside it the table has the cheapest writer, which carries the goal."""
NO_WRITER = "dummy"
"""It throws the pictures away."""

_OURS = "ours"
_US_A_SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Volume:
    """Photographs of one kind: how many warm up a program, and how many make a lap of it."""

    kind: Kind
    warm_up: int
    lap: int

    def total(self, rounds: int) -> int:
        return self.warm_up + rounds * self.lap


def volume(kind: Kind, trial: Trial) -> Volume:
    """Enough for tenths of a second of CPU a turn, beside which starting on it and ending it are small."""
    lap = 1_500 if kind is SMALL else 400
    return Volume(kind, 200, lap // 5 if trial.quick else lap)


async def compare(
    trial: Trial,
    amount: Volume,
    verification: Verification,
    rivals: Mapping[str, tuple[tuple[str, ...], str]],
) -> dict[str, tuple[Lap, ...]]:
    """Laps by name, "ours" among them. Every round gives each its turns while the others idle.

    `rivals` are img2dataset's mode and writer by name.
    """
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(null_aws())
        contestants: dict[str, Contestant] = {
            _OURS: await stack.enter_async_context(our_consumer(aws, amount.kind, verification))
        }
        total = amount.total(trial.rounds)
        processes = []
        for name, (mode, writer) in rivals.items():
            rival = img2dataset(amount.kind, total, mode, writer=writer)
            processes.append(await stack.enter_async_context(rival))
            contestants[name] = processes[-1]
        for contestant in contestants.values():
            await contestant.lap(amount.warm_up)
        rounds = [await race(contestants, amount.lap) for _ in range(trial.rounds)]
        for process in processes:
            await process.finish()
    return {name: tuple(each[name] for each in rounds) for name in contestants}


async def race(contestants: Mapping[str, Contestant], images: int) -> dict[str, Lap]:
    """One round: turns there and back, each of half the images, which are an even number."""
    turns: dict[str, list[Lap]] = {name: [] for name in contestants}
    for name in there_and_back(tuple(contestants)):
        turns[name].append(await contestants[name].lap(images // 2))
    return {name: together(each) for name, each in turns.items()}


async def run(kind: Kind, trial: Trial) -> list[Figure]:
    """Raises BenchFailed."""
    amount = volume(kind, trial)
    downloads = {writer: (DOWNLOAD, writer) for writer in (WRITER, USUAL_WRITER, NO_WRITER)}
    unverified = await compare(trial, amount, "header", downloads)
    decodes = {"encodes": (ENCODE, WRITER), "decodes": (DECODE, WRITER)}
    verified = await compare(trial, amount, "full", decodes)
    encoded = [await asyncio.to_thread(encoding.microseconds, kind) for _ in range(trial.rounds)]
    return [*download_figures(unverified), *decode_figures(verified, encoded)]


def download_figures(laps: Mapping[str, Sequence[Lap]]) -> list[Figure]:
    ours, cheapest = _cpu(laps[_OURS]), _cpu(laps[WRITER])
    usual, nothing = _cpu(laps[USUAL_WRITER]), _cpu(laps[NO_WRITER])
    return [
        _ratio(
            f"header against img2dataset's download to {WRITER}",
            ours,
            cheapest,
            goals.OVER_IMG2DATASET,
        ),
        _ratio(f"the same, to {USUAL_WRITER}", ours, usual),
        _ratio("the same, keeping nothing", ours, nothing),
        *_costs("header, ours", ours),
        *_costs("download, img2dataset", cheapest),
    ]


def decode_figures(laps: Mapping[str, Sequence[Lap]], encoded: Sequence[float]) -> list[Figure]:
    """`encoded`: microseconds that encoding one picture costs by itself, for each round."""
    ours, decodes = _cpu(laps[_OURS]), _cpu(laps["decodes"])
    both = _cpu(laps["encodes"])
    less_encoding = tuple(whole - part for whole, part in zip(both, encoded, strict=True))
    return [
        _ratio(
            "full decode against img2dataset's less encoding",
            ours,
            less_encoding,
            goals.OVER_IMG2DATASET,
        ),
        _ratio("the same, against its decoding of JPEG alone", ours, decodes),
        *_costs("full decode, ours", ours),
        *_costs("decode and encode less encoding, img2dataset", less_encoding),
        Figure("img2dataset's encoding by itself", "µs", tuple(encoded)),
    ]


def _cpu(laps: Sequence[Lap]) -> tuple[float, ...]:
    return tuple(lap.cpu for lap in laps)


def _ratio(
    name: str, ours: Sequence[float], other: Sequence[float], goal: Goal | None = None
) -> Figure:
    note = "below 1 ours costs less" if goal else ""
    return Figure(f"CPU an image, {name}", "x", ratios(ours, other), goal, note)


def _costs(name: str, cpu: Sequence[float]) -> list[Figure]:
    rates = tuple(_US_A_SECOND / each for each in cpu)
    return [Figure(name, "µs", tuple(cpu)), Figure(name, "images/CPU-s", rates)]


def _benchmark(kind: Kind) -> Benchmark:
    name = f"images-{kind.name.replace(' ', '').lower()}"
    title = f"Consumer against img2dataset, photographs of {kind.name}"
    return Benchmark(name, title, (NULL,), partial(run, kind))


SMALL_IMAGES = _benchmark(SMALL)
LARGE_IMAGES = _benchmark(LARGE)

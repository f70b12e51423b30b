"""Our consumer against img2dataset: the same images from the same origin, verified to the same depth.

img2dataset has no mode that fetches and decodes, and does nothing else, for every format. Therefore its download is
compared with our `header`. Its decode-and-encode, minus the cost of the encoding alone, is compared with our `full`.
For JPEG it can skip the encoding; that figure checks the subtraction. img2dataset keeps its defaults of a SHA-256 and
the EXIF of each image, as ours does. The cost of ours includes everything it does beyond that: upload, record,
notification, queue, address check, perceptual hash. Nothing is subtracted for it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, balanced_order, ratios
from loadtest.bench.images.collection import LARGE, SMALL, Kind
from loadtest.bench.subjects.consumer import Lap, Subject, Verification, combine, our_consumer
from loadtest.bench.subjects.img2dataset import (
    DECODE,
    DOWNLOAD,
    ENCODE,
    encoding_cost,
    img2dataset,
)
from loadtest.bench.system.backend import null_aws
from loadtest.bench.thresholds import Threshold

WRITER = "parquet"
"""The cheapest output format that keeps the images. The limit applies to it."""
USUAL_WRITER = "webdataset"
"""The output format of many of its examples."""
NO_WRITER = "dummy"
"""An output format that discards the images."""

_OURS = "ours"
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Volume:
    """How many images of a kind warm a program up, and how many make a lap."""

    kind: Kind
    warm_up: int
    lap: int

    def total(self, rounds: int) -> int:
        return self.warm_up + rounds * self.lap


def volume(kind: Kind, trial: Trial) -> Volume:
    """Choose laps that take tenths of a second of CPU per turn, so that the start and end of a turn matter little."""
    lap = 1_500 if kind is SMALL else 400
    return Volume(kind, 200, lap // 5 if trial.quick else lap)


async def compare(
    trial: Trial,
    amount: Volume,
    verification: Verification,
    rivals: Mapping[str, tuple[tuple[str, ...], str]],
) -> dict[str, tuple[Lap, ...]]:
    """Return the laps by subject, ours included. One subject runs at a time.

    `rivals` holds the mode and the writer of img2dataset by subject.
    """
    async with AsyncExitStack() as stack:
        aws = await stack.enter_async_context(null_aws())
        subjects: dict[str, Subject] = {
            _OURS: await stack.enter_async_context(our_consumer(aws, amount.kind, verification))
        }
        total = amount.total(trial.rounds)
        processes = []
        for name, (mode, writer) in rivals.items():
            rival = img2dataset(amount.kind, total, mode, writer=writer)
            processes.append(await stack.enter_async_context(rival))
            subjects[name] = processes[-1]
        for subject in subjects.values():
            await subject.lap(amount.warm_up)
        rounds = [await run_round(subjects, amount.lap) for _ in range(trial.rounds)]
        for process in processes:
            await process.finish()
    return {name: tuple(each[name] for each in rounds) for name in subjects}


async def run_round(subjects: Mapping[str, Subject], images: int) -> dict[str, Lap]:
    """Give each subject two turns in balanced order, each with half of the images (an even number)."""
    turns: dict[str, list[Lap]] = {name: [] for name in subjects}
    for name in balanced_order(tuple(subjects)):
        turns[name].append(await subjects[name].lap(images // 2))
    return {name: combine(each) for name, each in turns.items()}


async def run(kind: Kind, trial: Trial) -> list[Figure]:
    """Raises BenchFailed."""
    amount = volume(kind, trial)
    downloads = {writer: (DOWNLOAD, writer) for writer in (WRITER, USUAL_WRITER, NO_WRITER)}
    unverified = await compare(trial, amount, "header", downloads)
    decodes = {"encodes": (ENCODE, WRITER), "decodes": (DECODE, WRITER)}
    verified = await compare(trial, amount, "full", decodes)
    encoding = [await asyncio.to_thread(encoding_cost, kind) for _ in range(trial.rounds)]
    return [*download_figures(unverified), *decode_figures(verified, encoding)]


def download_figures(laps: Mapping[str, Sequence[Lap]]) -> list[Figure]:
    ours, cheapest = _cpu(laps[_OURS]), _cpu(laps[WRITER])
    name = f"header against img2dataset's download to {WRITER}"
    return [
        _ratio(name, ours, cheapest, thresholds.OVER_IMG2DATASET),
        _ratio(f"the same, to {USUAL_WRITER}", ours, _cpu(laps[USUAL_WRITER])),
        _ratio("the same, keeping nothing", ours, _cpu(laps[NO_WRITER])),
        *_costs("header, ours", ours),
        *_costs("download, img2dataset", cheapest),
    ]


def decode_figures(laps: Mapping[str, Sequence[Lap]], encoding: Sequence[float]) -> list[Figure]:
    """`encoding` holds the cost of encoding one image, in microseconds, by round."""
    ours, decodes = _cpu(laps[_OURS]), _cpu(laps["decodes"])
    both = _cpu(laps["encodes"])
    less_encoding = tuple(whole - part for whole, part in zip(both, encoding, strict=True))
    name = "full decode against img2dataset's decode and encode minus encoding"
    return [
        _ratio(name, ours, less_encoding, thresholds.OVER_IMG2DATASET),
        _ratio("the same, against its decoding of JPEG alone", ours, decodes),
        *_costs("full decode, ours", ours),
        *_costs("decode and encode minus encoding, img2dataset", less_encoding),
        Figure("img2dataset's encoding alone", "µs", tuple(encoding)),
    ]


def _cpu(laps: Sequence[Lap]) -> tuple[float, ...]:
    return tuple(lap.cpu for lap in laps)


def _ratio(
    name: str, ours: Sequence[float], other: Sequence[float], threshold: Threshold | None = None
) -> Figure:
    note = "below 1 ours costs less" if threshold else ""
    return Figure(f"CPU per image, {name}", "x", ratios(ours, other), threshold, note)


def _costs(name: str, cpu: Sequence[float]) -> list[Figure]:
    rates = tuple(_US / each for each in cpu)
    return [Figure(name, "µs", tuple(cpu)), Figure(name, "images/CPU-s", rates)]


def _benchmark(kind: Kind) -> Benchmark:
    name = f"images-{kind.name.replace(' ', '').lower()}"
    title = f"Consumer against img2dataset, images of {kind.name}"
    return Benchmark(name, title, (NULL,), partial(run, kind))


SMALL_IMAGES = _benchmark(SMALL)
LARGE_IMAGES = _benchmark(LARGE)

"""Our consumer against img2dataset: the same images from the same origin, verified to the same depth.

img2dataset has no mode that fetches and decodes, and does nothing else, for every format. Therefore its download is
compared with our `header`. Its decode-and-encode, minus the cost of the encoding alone, is compared with our `full`.
For JPEG it can skip the encoding; that figure checks the subtraction. img2dataset keeps its defaults of a SHA-256 and
the EXIF of each image, as ours does. The cost of ours includes everything it does beyond that: upload, record,
notification, queue, address check, perceptual hash. Nothing is subtracted for it.

Each comparison is made twice: with all cores, and with each program held to one core. img2dataset's download has many
threads in one interpreter. With several cores they wake up on all of them and contend for the interpreter's lock, which
costs CPU time that depends on how busy the machine is. On one core they take turns.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, ratios
from loadtest.bench.benchmarks.race import Laps, Volume, cpu, race, volume
from loadtest.bench.images.collection import LARGE, SMALL, Kind
from loadtest.bench.subjects.consumer import Subject, Verification, our_consumer
from loadtest.bench.subjects.img2dataset import (
    DECODE,
    DOWNLOAD,
    ENCODE,
    encoding_cost,
    img2dataset,
)
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.one_core import reserved_core
from loadtest.bench.thresholds import Threshold

WRITERS = {SMALL.name: "parquet", LARGE.name: "webdataset"}
"""The cheapest output format that keeps the images, as measured on 2026-11-23."""

FREE, ONE_CORE = "all cores", "one core each"

_OURS: tuple[Verification, ...] = ("header", "full")
_RIVALS = {"download": DOWNLOAD, "decode and encode": ENCODE, "decode": DECODE}
_US = 1_000_000


async def run(kind: Kind, trial: Trial) -> list[Figure]:
    """Raises BenchFailed, and BenchSkipped if there is no core to hold a program to."""
    amount = volume(kind, trial)
    with reserved_core() as core:
        held = await compare(amount, trial.rounds, core)
    free = await compare(amount, trial.rounds, None)
    return [*figures(kind, ONE_CORE, held), *figures(kind, FREE, free)]


@dataclass(frozen=True, slots=True)
class Measured:
    """`encoding` holds the cost of encoding one image, in microseconds, by round."""

    laps: Mapping[str, Laps]
    encoding: Sequence[float]


async def compare(amount: Volume, rounds: int, core: int | None) -> Measured:
    """Measure all subjects in one race. With `core`, each is held to this core."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        subjects: dict[str, Subject] = {}
        for verification in _OURS:
            aws = await enter(null_aws())
            subjects[verification] = await enter(
                our_consumer(aws, amount.kind, verification, core=core)
            )
        rivals = {
            name: await enter(
                img2dataset(
                    amount.kind,
                    amount.total(rounds),
                    mode,
                    writer=WRITERS[amount.kind.name],
                    core=core,
                )
            )
            for name, mode in _RIVALS.items()
        }
        laps = await race({**subjects, **rivals}, amount, rounds)
        for rival in rivals.values():
            await rival.finish()
    encoding = [await asyncio.to_thread(encoding_cost, amount.kind) for _ in range(rounds)]
    return Measured(laps, encoding)


def figures(kind: Kind, cores: str, measured: Measured) -> list[Figure]:
    """`cores` says which cores the programs had."""
    costs = {name: cpu(each) for name, each in measured.laps.items()}
    encoding = tuple(measured.encoding)
    costs["decode and encode minus encoding"] = tuple(
        whole - part for whole, part in zip(costs["decode and encode"], encoding, strict=True)
    )

    def over(ours: str, other: str, limits: Threshold | None = None) -> Figure:
        name = f"CPU per image, {ours} over img2dataset's {other}, {cores}"
        return Figure(name, "x", ratios(costs[ours], costs[other]), limits)

    one_core = cores == ONE_CORE
    return [
        over("header", "download", thresholds.HEADER_OVER_IMG2DATASET if one_core else None),
        over(
            "full",
            "decode and encode minus encoding",
            None if one_core else thresholds.FULL_OVER_IMG2DATASET[kind.name],
        ),
        over("full", "decode"),
        *(
            Figure(f"{_owner(name)} {name}: CPU per image, {cores}", "µs", each)
            for name, each in costs.items()
        ),
        Figure(f"img2dataset's encoding alone, {cores}", "µs", encoding),
    ]


def _owner(name: str) -> str:
    return "our" if name in _OURS else "img2dataset's"


def _benchmark(kind: Kind) -> Benchmark:
    name = f"images-{kind.name.replace(' ', '').lower()}"
    title = f"Consumer against img2dataset, images of {kind.name}"
    return Benchmark(name, title, (NULL,), partial(run, kind))


SMALL_IMAGES = _benchmark(SMALL)
LARGE_IMAGES = _benchmark(LARGE)

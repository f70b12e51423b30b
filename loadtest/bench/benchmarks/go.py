"""Our consumer against Go programs that do the same work: the same images, objects, rows and messages.

The race counts what each program writes to its own null AWS, and fails if it is not the same.
"""

import asyncio
from contextlib import AsyncExitStack
from functools import partial

from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, ratios
from loadtest.bench.benchmarks.race import Laps, cpu, race, volume
from loadtest.bench.images.collection import LARGE, SMALL, Kind
from loadtest.bench.subjects.consumer import Consumer, Verification, our_consumer
from loadtest.bench.subjects.go import PLAIN, TURBO, TURBO_DRAFT, go_worker, program
from loadtest.bench.system.backend import null_aws

_OURS: dict[str, Verification] = {"full": "full", "draft": "draft"}
_GO = {"Go": PLAIN, "Go turbo": TURBO, "Go turbo draft": TURBO_DRAFT}


async def run(kind: Kind, trial: Trial) -> list[Figure]:
    """Raises BenchFailed, and BenchSkipped without Go."""
    await asyncio.to_thread(program, PLAIN[0])
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        subjects: dict[str, Consumer] = {}
        for name, verification in _OURS.items():
            aws = await enter(null_aws())
            subjects[name] = await enter(our_consumer(aws, kind, verification))
        for name, variant in _GO.items():
            aws = await enter(null_aws())
            subjects[name] = await enter(go_worker(aws, kind, variant))
        laps = await race(subjects, volume(kind, trial), trial.rounds)
    return figures(kind, laps)


def figures(kind: Kind, laps: dict[str, Laps]) -> list[Figure]:
    def over(ours: str, other: str, limits: thresholds.BySize) -> Figure:
        values = ratios(cpu(laps[ours]), cpu(laps[other]))
        return Figure(f"CPU per image, {ours} over {other}", "x", values, limits[kind.name])

    return [
        over("full", "Go turbo", thresholds.FULL_OVER_GO_TURBO),
        over("draft", "Go turbo draft", thresholds.DRAFT_OVER_GO_TURBO_DRAFT),
        over("full", "Go", thresholds.FULL_OVER_GO),
        *(Figure(f"{name}: CPU per image", "µs", cpu(each)) for name, each in laps.items()),
    ]


def _benchmark(kind: Kind) -> Benchmark:
    name = f"go-{kind.name.replace(' ', '').lower()}"
    return Benchmark(
        name, f"Consumer against Go, images of {kind.name}", (NULL,), partial(run, kind)
    )


SMALL_IMAGES = _benchmark(SMALL)
LARGE_IMAGES = _benchmark(LARGE)

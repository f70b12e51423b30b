"""Benchmark of one pod: what a consumer with one core does when origins take their time.

What follows from it stands in k8s/: `queueLength` of the autoscaler, requests and limits of the consumer. A consumer
that waits is bounded by its slots (64 by default, over the time that an image takes); one that does not, by its core.
"""

import asyncio
import os
from contextlib import suppress
from pathlib import Path

from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.contestants.contestant import Lap
from loadtest.bench.contestants.our_consumer import our_consumer
from loadtest.bench.photographs.collection import LARGE
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.process import BenchFailed

DELAYS_MS = (0, 200, 600)
"""What an origin takes to begin its answer: none, a near one or a CDN, a far or a busy one."""
_WARM_UP = 200
_SECONDS = 5
_MOST_A_SECOND = 400


async def _pod(trial: Trial) -> list[Figure]:
    if not hasattr(os, "sched_setaffinity"):
        raise BenchFailed("only Linux gives a process one core")
    figures: list[Figure] = []
    async with null_aws() as aws:
        for delay_ms in DELAYS_MS:
            async with our_consumer(aws, LARGE, "draft", delay_ms=delay_ms) as consumer:
                await asyncio.to_thread(_give_one_core, consumer.process.pid)
                await consumer.lap(_WARM_UP)
                images = _images(delay_ms, trial)
                laps = [await consumer.lap(images) for _ in range(trial.rounds)]
                memory = consumer.process.resident_mib()
            figures += _figures(delay_ms, laps, memory)
    return figures


def _images(delay_ms: int, trial: Trial) -> int:
    """Enough for some seconds of work, so that the first and the last of them weigh little."""
    a_second = min(_MOST_A_SECOND, 64_000 // max(delay_ms, 1))
    return a_second * (1 if trial.quick else _SECONDS)


def _give_one_core(pid: int) -> None:
    core = min(os.sched_getaffinity(pid))
    for thread in Path(f"/proc/{pid}/task").iterdir():
        # One that ends meanwhile needs none.
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), {core})


def _figures(delay_ms: int, laps: list[Lap], resident_mib: float) -> list[Figure]:
    name = f"origin answers after {delay_ms} ms"
    return [
        Figure(f"images a second, {name}", "1/s", tuple(lap.images / lap.seconds for lap in laps)),
        Figure(f"cores in use, {name}", "", tuple(lap.cpu_s / lap.seconds for lap in laps)),
        Figure(f"resident memory, {name}", "MiB", (resident_mib,)),
    ]


POD = Benchmark("pod", "One consumer with one core, photographs of 150 KB", (NULL,), _pod)

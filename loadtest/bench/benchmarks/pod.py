"""Benchmark of one pod: the throughput of a consumer with one core when origins are slow.

k8s/ uses the results: `queueLength` of the autoscaler, and requests and limits of the consumer. A consumer that waits
is limited by its slots (64 by default, divided by the time per image); a consumer that does not wait, by its core.
"""

from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial
from loadtest.bench.images.collection import LARGE
from loadtest.bench.subjects.consumer import Lap, our_consumer
from loadtest.bench.system.backend import null_aws
from loadtest.bench.system.one_core import reserved_core

DELAYS_MS = (0, 200, 600)
"""Time before the first byte of an origin: none, a near origin or CDN, a far or busy origin."""
_WARM_UP = 200
_DURATION_S = 5
_MAX_RATE = 400
"""Images per second."""


async def _pod(trial: Trial) -> list[Figure]:
    figures: list[Figure] = []
    with reserved_core() as core:
        async with null_aws() as aws:
            for delay_ms in DELAYS_MS:
                opened = our_consumer(aws, LARGE, "draft", delay_ms=delay_ms, core=core)
                async with opened as consumer:
                    await consumer.lap(_WARM_UP)
                    images = _images(delay_ms, trial)
                    laps = [await consumer.lap(images) for _ in range(trial.rounds)]
                    memory = consumer.process.resident_mib()
                figures += _figures(delay_ms, laps, memory)
    return figures


def _images(delay_ms: int, trial: Trial) -> int:
    """Return the images for some seconds of work, so that the first and the last image matter little."""
    rate = min(_MAX_RATE, 64_000 // max(delay_ms, 1))
    return rate * (1 if trial.quick else _DURATION_S)


def _figures(delay_ms: int, laps: list[Lap], resident_mib: float) -> list[Figure]:
    name = f"origin answers after {delay_ms} ms"
    return [
        Figure(
            f"images per second, {name}", "1/s", tuple(lap.images / lap.seconds for lap in laps)
        ),
        Figure(f"cores in use, {name}", "", tuple(lap.cpu_s / lap.seconds for lap in laps)),
        Figure(f"resident memory, {name}", "MiB", (resident_mib,)),
    ]


POD = Benchmark("pod", "One consumer with one core, images of 150 KB", (NULL,), _pod)

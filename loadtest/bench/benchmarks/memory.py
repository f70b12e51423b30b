"""Benchmark of memory growth with the work done by one process."""

from loadtest.bench import thresholds
from loadtest.bench.benchmark import NULL, Benchmark, Figure, Trial, ratios
from loadtest.bench.system.backend import Backend, NullControl, backend
from loadtest.bench.system.stages import consumer_stage, image_urls, origin, server_stage, submit

SUBMITS = 4_000
IMAGES = 500
"""Work before the first reading. The second reading follows after ten times as much."""
_QUICK_SHARE = 5


async def _memory(trial: Trial) -> list[Figure]:
    share = _QUICK_SHARE if trial.quick else 1
    async with backend(trial) as aws, origin() as origin_url:
        server = [await _server_memory(aws, SUBMITS // share) for _ in range(trial.rounds)]
        consumer = [
            await _consumer_memory(aws, origin_url, IMAGES // share) for _ in range(trial.rounds)
        ]
    return [
        *_figures("server", SUBMITS // share, server),
        *_figures("consumer", IMAGES // share, consumer),
    ]


Readings = tuple[float, float]
"""Resident memory in MiB after the work, and after ten times as much."""


async def _server_memory(aws: Backend, submits: int) -> Readings:
    async with server_stage(aws) as stage:
        await submit(stage, image_urls("http://127.0.0.1", submits))
        first = stage.process.resident_mib()
        await submit(stage, image_urls("http://127.0.0.1", 9 * submits))
        return first, stage.process.resident_mib()


async def _consumer_memory(aws: Backend, origin_url: str, images: int) -> Readings:
    null = NullControl(aws.endpoint)
    async with consumer_stage(aws) as stage:
        alive = stage.process.fail_if_ended
        await null.fill(image_urls(origin_url, images))
        await stage.metrics.until_finished(images, alive)
        first = stage.process.resident_mib()
        await null.fill(image_urls(origin_url, 9 * images, start=images))
        await stage.metrics.until_finished(10 * images, alive)
        return first, stage.process.resident_mib()


def _figures(stage: str, work: int, readings: list[Readings]) -> list[Figure]:
    first, last = [each[0] for each in readings], [each[1] for each in readings]
    name = f"{stage} resident memory, after {10 * work:,} images over {work:,}"
    return [
        Figure(name, "x", ratios(last, first), thresholds.MEMORY),
        Figure(f"{stage} resident memory after {10 * work:,}", "MiB", tuple(last)),
    ]


MEMORY = Benchmark("memory", "Memory after ten times the work", (NULL,), _memory)

"""Benchmark of AWS calls and list price per image, from submit to delete.

Our own metric counts the calls. The null AWS counts them as well, and both counts must agree.
"""

from collections import Counter
from collections.abc import Mapping

from loadtest.bench import thresholds
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial
from loadtest.bench.benchmarks.prices import (
    ONE_CALL_PER_STEP,
    Rows,
    item_bytes,
    per_million,
    write_units,
)
from loadtest.bench.system.backend import Backend, NullControl, backend, client
from loadtest.bench.system.process import BenchFailed
from loadtest.bench.system.stages import consumer_stage, image_urls, origin, server_stage, submit

IMAGES = 3_000
QUICK_IMAGES = 500
_RECEIVE = "sqs:ReceiveMessage"
_SAMPLE = 100


async def _round(aws: Backend, origin_url: str, images: int) -> dict[str, float]:
    """Return calls per image by operation."""
    null = NullControl(aws.endpoint) if aws.name == NULL else None
    if null:
        await null.reset()
    urls = image_urls(origin_url, images)
    async with server_stage(aws) as server:
        await submit(server, urls)
        calls = await server.metrics.aws_calls()
    if null:
        await null.fill(urls)
    async with consumer_stage(aws) as consumer:
        await consumer.metrics.until_finished(images, consumer.process.fail_if_ended)
        calls += await consumer.metrics.aws_calls()
    if null:
        _require_agreement(calls, (await null.calls())["calls"])
    return {operation: count / images for operation, count in sorted(calls.items())}


def _require_agreement(ours: Mapping[str, int], received: Mapping[str, int]) -> None:
    """Raises BenchFailed if the counts differ. Long polls in flight at the end are counted only by the receiver."""
    differing = {
        operation: (ours.get(operation, 0), received.get(operation, 0))
        for operation in {*ours, *received} - {_RECEIVE}
        if ours.get(operation, 0) != received.get(operation, 0)
    }
    if differing:
        raise BenchFailed(f"calls counted by our metric and by the null AWS differ: {differing}")


async def _rows(aws: Backend) -> Rows:
    """Return the mean write units of the rows that the run wrote."""
    request = await _sizes(aws, aws.stack["REQUESTS_TABLE"])
    record = await _sizes(aws, aws.stack["IMAGES_TABLE"])
    return Rows(_mean_units(request), _mean_units(record))


async def _sizes(aws: Backend, table: str) -> list[int]:
    async with client("dynamodb", aws.endpoint) as dynamodb:
        found = await dynamodb.scan(TableName=table, Limit=_SAMPLE)
    return [item_bytes(item) for item in found["Items"]]


def _mean_units(sizes: list[int]) -> float:
    return sum(write_units(size) for size in sizes) / len(sizes)


async def _count(trial: Trial) -> list[Figure]:
    images = QUICK_IMAGES if trial.quick else IMAGES
    async with backend(trial) as aws, origin() as url:
        rounds = [await _round(aws, url, images) for _ in range(trial.rounds)]
        rows = await _rows(aws) if aws.name == EMBEDDED else None
    figures = [
        Figure(
            "AWS calls per completed image",
            "",
            tuple(sum(calls.values()) for calls in rounds),
            thresholds.CALLS_PER_IMAGE,
        ),
        *_by_operation(rounds),
        Figure("the same, one call per step", "", (sum(ONE_CALL_PER_STEP.values()),)),
    ]
    return figures + (_prices(rounds, rows) if rows else [])


def _by_operation(rounds: list[dict[str, float]]) -> list[Figure]:
    operations = sorted(Counter(operation for calls in rounds for operation in calls))
    return [
        Figure(each, "", tuple(calls.get(each, 0.0) for calls in rounds)) for each in operations
    ]


def _prices(rounds: list[dict[str, float]], rows: Rows) -> list[Figure]:
    totals = tuple(sum(per_million(calls, rows).values()) for calls in rounds)
    single = sum(per_million(ONE_CALL_PER_STEP, rows).values())
    return [
        Figure("list price per million images", "USD", totals, thresholds.PRICE_PER_MILLION),
        Figure("the same, one call per step", "USD", (single,)),
        Figure("write units per image", "", (rows.units,)),
    ]


CALLS = Benchmark(
    "calls", "AWS calls and list price, against one call per step", (NULL, EMBEDDED), _count
)

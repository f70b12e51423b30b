"""Benchmarks of what must not grow: cost with the tables' size and the queue's history, memory with the work done."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core import schema
from core.clock import now_ms
from core.request import new_request
from loadtest.bench.backend import Backend, NullControl, backend, client
from loadtest.bench.benchmark import EMBEDDED, NULL, Benchmark, Figure, Trial
from loadtest.bench.spread import ratios
from loadtest.bench.stages import Stage, consumer_stage, origin, pictures, server_stage, submit

SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (100, 1_000, 10_000)
"""Rows in the table of requests, and messages that have been through the queue."""
MEASURED = 500
"""Images whose cost is measured, each time."""

SUBMITS = 4_000
IMAGES = 500
"""Work after which memory is read first; the second reading comes after ten times as much."""
_QUICK_SHARE = 5

_TOGETHER = 10
"""Entries of an SQS batch, at most."""
_FILLERS = 4
_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU an image in microseconds."""

    server: float
    consumer: float


@dataclass(slots=True)
class Workshop:
    """A server and a consumer on one AWS."""

    server: Stage
    consumer: Stage
    origin_url: str
    done: int = field(default=0)

    async def work(self, images: int) -> Cost:
        """Submit so many and wait until all are COMPLETED."""
        server, consumer = self.server.process, self.consumer.process
        before = server.cpu_seconds(), consumer.cpu_seconds()
        await submit(self.server, pictures(self.origin_url, images, start=self.done))
        self.done += images
        await self.consumer.metrics.until_finished(self.done, consumer.fail_if_ended)
        return Cost(
            (server.cpu_seconds() - before[0]) / images * _US,
            (consumer.cpu_seconds() - before[1]) / images * _US,
        )


@asynccontextmanager
async def _workshop(aws: Backend, origin_url: str) -> AsyncIterator[Workshop]:
    async with server_stage(aws) as server, consumer_stage(aws) as consumer:
        yield Workshop(server, consumer, origin_url)


async def _costs(trial: Trial) -> list[Figure]:
    sizes = QUICK_SIZES if trial.quick else SIZES
    by_size: list[list[Cost]] = []
    async with backend(trial) as aws, origin() as origin_url:
        rows = 0
        for size in sizes:
            await _fill(aws, size - rows)
            rows = size
            async with _workshop(aws, origin_url) as workshop:
                await workshop.work(MEASURED)
                by_size.append([await workshop.work(MEASURED) for _ in range(trial.rounds)])
    figures = []
    for stage in ("server", "consumer"):
        first, *larger = ([getattr(cost, stage) for cost in costs] for costs in by_size)
        for size, values in zip(sizes[1:], larger, strict=True):
            name = f"{stage} CPU per image, {size:,} rows over {sizes[0]:,}"
            figures.append(Figure(name, "x", ratios(values, first), "flat"))
        figures.append(Figure(f"{stage} CPU per image at {sizes[0]:,} rows", "µs", tuple(first)))
    return figures


async def _fill(aws: Backend, count: int) -> None:
    """Rows into the table; as many messages into the queue and out of it."""
    queue_url, table = aws.stack["QUEUE_URL"], aws.stack["REQUESTS_TABLE"]
    entries = [{"Id": str(at), "MessageBody": "history"} for at in range(_TOGETHER)]
    batches = iter(range(0, count, _TOGETHER))
    async with client("dynamodb", aws.endpoint) as dynamodb, client("sqs", aws.endpoint) as sqs:

        async def filler() -> None:
            for _ in batches:
                rows = [_put() for _ in range(_TOGETHER)]
                await dynamodb.batch_write_item(RequestItems={table: rows})
                await sqs.send_message_batch(QueueUrl=queue_url, Entries=entries)

        await asyncio.gather(*(filler() for _ in range(_FILLERS)))
        await sqs.purge_queue(QueueUrl=queue_url)


def _put() -> dict[str, Any]:
    request = new_request(
        request_id=str(uuid.uuid4()),
        customer_id="bench",
        url="http://127.0.0.1/generated/0.jpg",
        labels={},
        now=now_ms(),
    )
    return {"PutRequest": {"Item": schema.new_request_item(request, shards=8)}}


async def _memory(trial: Trial) -> list[Figure]:
    share = _QUICK_SHARE if trial.quick else 1
    async with backend(trial) as aws, origin() as origin_url:
        server = [await _server_memory(aws, SUBMITS // share) for _ in range(trial.rounds)]
        consumer = [
            await _consumer_memory(aws, origin_url, IMAGES // share) for _ in range(trial.rounds)
        ]
    return [
        *_grown("server", SUBMITS // share, server),
        *_grown("consumer", IMAGES // share, consumer),
    ]


Readings = tuple[float, float]
"""Resident MiB after the work, and after ten times as much."""


async def _server_memory(aws: Backend, submits: int) -> Readings:
    async with server_stage(aws) as stage:
        await submit(stage, pictures("http://127.0.0.1", submits))
        first = stage.process.resident_mib()
        await submit(stage, pictures("http://127.0.0.1", 9 * submits))
        return first, stage.process.resident_mib()


async def _consumer_memory(aws: Backend, origin_url: str, images: int) -> Readings:
    null = NullControl(aws.endpoint)
    async with consumer_stage(aws) as stage:
        alive = stage.process.fail_if_ended
        await null.fill(pictures(origin_url, images))
        await stage.metrics.until_finished(images, alive)
        first = stage.process.resident_mib()
        await null.fill(pictures(origin_url, 9 * images, start=images))
        await stage.metrics.until_finished(10 * images, alive)
        return first, stage.process.resident_mib()


def _grown(stage: str, work: int, readings: list[Readings]) -> list[Figure]:
    first, last = [each[0] for each in readings], [each[1] for each in readings]
    name = f"{stage} resident memory, after {10 * work:,} images over {work:,}"
    return [
        Figure(name, "x", ratios(last, first), "at most 1.2"),
        Figure(f"{stage} resident memory after {10 * work:,}", "MiB", tuple(last)),
    ]


GROWTH = Benchmark(
    "growth", "Growth of cost with table size and queue history", (EMBEDDED,), _costs
)
MEMORY = Benchmark("memory", "Memory after ten times the work", (NULL,), _memory)

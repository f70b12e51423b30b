"""Benchmark of what must not grow: cost with the tables' size and the queue's history.

Sizes are measured one after the other, smallest first, as rows cannot be taken away: unlike in a comparison by turns, a
machine that slows down meanwhile looks like growth. What is measured adds rows itself; a size is the number of rows
when half of its rounds are done.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from core.dynamodb import schema
from core.model.request import new_request
from core.runtime.clock import now_ms
from loadtest.bench import goals
from loadtest.bench.benchmark import EMBEDDED, Benchmark, Figure, Trial
from loadtest.bench.results.spread import ratios
from loadtest.bench.system.backend import Backend, backend, client
from loadtest.bench.system.stages import (
    Stage,
    consumer_stage,
    origin,
    pictures,
    server_stage,
    submit,
)

SIZES = (2_000, 20_000, 200_000)
QUICK_SIZES = SIZES[:2]
"""Rows in the table of requests, and messages that have been through the queue."""
MEASURED = 500
"""Images whose cost is measured, each time; as many warm up."""

_TOGETHER = 10
"""Entries of an SQS batch, at most."""
_FILLERS = 4
_US = 1_000_000
_STAGES = ("server", "consumer", "load generator")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU an image in microseconds, by stage."""

    by_stage: dict[str, float]


@dataclass(frozen=True, slots=True)
class Size:
    """`costs` of each round, with so many `rows` when half of them were done."""

    rows: int
    costs: tuple[Cost, ...]

    def cpu(self, stage: str) -> tuple[float, ...]:
        return tuple(cost.by_stage[stage] for cost in self.costs)


@dataclass(slots=True)
class Workshop:
    """A server and a consumer on one AWS."""

    server: Stage
    consumer: Stage
    origin_url: str
    done: int = field(default=0)

    async def work(self, images: int) -> Cost:
        """Submit so many, each a row, and wait until all are COMPLETED."""
        server, consumer = self.server.process, self.consumer.process
        before = server.cpu_seconds(), consumer.cpu_seconds(), time.process_time()
        await submit(self.server, pictures(self.origin_url, images, start=self.done))
        own = time.process_time()
        self.done += images
        await self.consumer.metrics.until_finished(self.done, consumer.fail_if_ended)
        after = server.cpu_seconds(), consumer.cpu_seconds(), own
        spent = [(end - start) / images * _US for start, end in zip(before, after, strict=True)]
        return Cost(dict(zip(_STAGES, spent, strict=True)))


@asynccontextmanager
async def _workshop(aws: Backend, origin_url: str) -> AsyncIterator[Workshop]:
    async with server_stage(aws) as server, consumer_stage(aws) as consumer:
        yield Workshop(server, consumer, origin_url)


def missing(size: int, rows: int, rounds: int) -> int:
    """Rows to add to `rows`, so that warming up and half of the rounds bring them to `size`."""
    return max(0, size - rows - MEASURED - rounds * MEASURED // 2)


async def _costs(trial: Trial) -> list[Figure]:
    measured = []
    async with backend(trial) as aws, origin() as origin_url:
        rows = 0
        for size in QUICK_SIZES if trial.quick else SIZES:
            filled = missing(size, rows, trial.rounds)
            await _fill(aws, filled)
            rows += filled
            async with _workshop(aws, origin_url) as workshop:
                await workshop.work(MEASURED)
                costs = [await workshop.work(MEASURED) for _ in range(trial.rounds)]
                rows += workshop.done
            measured.append(Size(rows - trial.rounds * MEASURED // 2, tuple(costs)))
    return figures(measured)


def figures(sizes: Sequence[Size]) -> list[Figure]:
    first, *larger = sizes
    ratio_figures = [
        Figure(
            f"{stage} CPU per image, {size.rows:,} rows over {first.rows:,}",
            "x",
            ratios(size.cpu(stage), first.cpu(stage)),
            goals.FLAT,
        )
        for stage in _STAGES[:2]
        for size in larger
    ]
    note = f"its {len(first.costs)} rounds add {len(first.costs) * MEASURED:,} rows"
    return ratio_figures + [
        Figure(f"{stage} CPU per image at {size.rows:,} rows", "µs", size.cpu(stage), note=note)
        for size in sizes
        for stage in _STAGES
    ]


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


GROWTH = Benchmark(
    "growth", "Growth of cost with table size and queue history", (EMBEDDED,), _costs
)

"""Our consumer as a contestant: fetching, inspecting, and every call to S3, DynamoDB, SNS and SQS."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from loadtest.bench.contestants.contestant import Lap
from loadtest.bench.photographs.collection import Kind
from loadtest.bench.photographs.published import published
from loadtest.bench.system.backend import Backend, NullControl
from loadtest.bench.system.process import HOST, READY_S, BenchFailed, Running, running

Verification = Literal["full", "draft", "header"]

_DELETES = "sqs:DeleteMessageBatch"
_PUTS = "s3:PutObject"
_GIVEN_BACK = "sqs:SendMessageBatch"
_POLL_S = 0.05
_STALL_S = 120.0


@dataclass(slots=True)
class OurConsumer:
    process: Running
    aws: NullControl
    urls: "itertools.cycle[str]"
    calls: dict[str, Any] = field(default_factory=dict)
    """Of the last lap: `calls` and `items` by operation."""

    async def lap(self, images: int) -> Lap:
        """As Contestant. Raises BenchFailed where an image did not end well."""
        await self.aws.reset()
        cpu, began = self.process.cpu_seconds(), time.perf_counter()
        await self.aws.fill(list(itertools.islice(self.urls, images)))
        async with asyncio.timeout(_STALL_S):
            while (await self._items()).get(_DELETES, 0) < images:
                self.process.fail_if_ended()
                await asyncio.sleep(_POLL_S)
        lap = Lap(images, self.process.cpu_seconds() - cpu, time.perf_counter() - began)
        items = await self._items()
        if items.get(_PUTS, 0) != images or items.get(_GIVEN_BACK, 0):
            raise BenchFailed(f"not every image was published: {items}")
        return lap

    async def _items(self) -> dict[str, int]:
        self.calls = await self.aws.calls()
        items: dict[str, int] = self.calls["items"]
        return items


@asynccontextmanager
async def our_consumer(
    aws: Backend, kind: Kind, verification: Verification, *, delay_ms: int = 0
) -> AsyncIterator[OurConsumer]:
    """A consumer with default settings, less the network that is opened and how far pictures are decoded.

    `delay_ms` is what the origin waits before each answer.
    """
    settings = {
        **aws.settings("consumer"),
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "VERIFICATION": verification,
    }
    async with (
        published(kind, gated=False, delay_ms=delay_ms) as origin,
        running("consumer", environment=settings) as process,
    ):
        await _ready(process, int(settings["METRICS_PORT"]))
        urls = itertools.cycle(origin.urls(kind.count))
        yield OurConsumer(process, NullControl(aws.endpoint), urls)


async def _ready(process: Running, metrics_port: int) -> None:
    """It opens its metrics last."""
    async with asyncio.timeout(READY_S):
        while True:
            process.fail_if_ended()
            try:
                _, writer = await asyncio.open_connection(HOST, metrics_port)
            except OSError:
                await asyncio.sleep(_POLL_S)
            else:
                writer.close()
                return

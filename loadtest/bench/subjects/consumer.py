"""Our consumer as a subject: it fetches and inspects images, and makes every call to S3, DynamoDB, SNS and SQS."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from loadtest.bench.images.collection import Kind
from loadtest.bench.images.origin import image_origin
from loadtest.bench.system.backend import Backend, NullControl
from loadtest.bench.system.process import BenchFailed, Running
from loadtest.bench.system.stages import consumer_stage

Verification = Literal["full", "draft", "header"]

_US = 1_000_000
_DELETES = "sqs:DeleteMessageBatch"
_PUTS = "s3:PutObject"
_REQUEUES = "sqs:SendMessageBatch"
_POLL_S = 0.05
_STALL_S = 120.0


@dataclass(frozen=True, slots=True)
class Lap:
    """The cost of a number of images. `cpu_s` is user and system time, `seconds` is wall-clock time."""

    images: int
    cpu_s: float
    seconds: float

    @property
    def cpu(self) -> float:
        """Microseconds of CPU per image."""
        return self.cpu_s / self.images * _US


def combine(laps: Sequence[Lap]) -> Lap:
    """Add up laps to one."""
    return Lap(
        images=sum(lap.images for lap in laps),
        cpu_s=sum(lap.cpu_s for lap in laps),
        seconds=sum(lap.seconds for lap in laps),
    )


class Subject(Protocol):
    """A program that fetches images."""

    async def lap(self, images: int) -> Lap:
        """Process this number of images. The program is idle before and after."""


@dataclass(slots=True)
class OurConsumer:
    process: Running
    aws: NullControl
    urls: "itertools.cycle[str]"

    async def lap(self, images: int) -> Lap:
        """As Subject. Raises BenchFailed if an image was not published."""
        await self.aws.reset()
        cpu, began = self.process.cpu_seconds(), time.perf_counter()
        await self.aws.fill(list(itertools.islice(self.urls, images)))
        async with asyncio.timeout(_STALL_S):
            while (await self._items()).get(_DELETES, 0) < images:
                self.process.fail_if_ended()
                await asyncio.sleep(_POLL_S)
        lap = Lap(images, self.process.cpu_seconds() - cpu, time.perf_counter() - began)
        items = await self._items()
        if items.get(_PUTS, 0) != images or items.get(_REQUEUES, 0):
            raise BenchFailed(f"not every image was published: {items}")
        return lap

    async def _items(self) -> dict[str, Any]:
        """Return the items that AWS received since the last reset, by operation."""
        items: dict[str, Any] = (await self.aws.calls())["items"]
        return items


@asynccontextmanager
async def our_consumer(
    aws: Backend, kind: Kind, verification: Verification, *, delay_ms: int = 0
) -> AsyncIterator[OurConsumer]:
    """Run a consumer with default settings, except the allowed network and the verification.

    `delay_ms` is how long the origin waits before each response.
    """
    settings = {
        "ALLOWED_NETWORKS": "127.0.0.0/8",
        "VERIFICATION": verification,
        # As in production: a log line for each image.
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
    }
    async with (
        image_origin(kind, gated=False, delay_ms=delay_ms) as origin,
        consumer_stage(aws.with_settings(**settings)) as stage,
    ):
        urls = itertools.cycle(origin.urls(kind.count))
        yield OurConsumer(stage.process, NullControl(aws.endpoint), urls)

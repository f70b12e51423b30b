"""Programs that process a queue of images: our consumer, and others that do the same work.

They fetch and inspect images, and make every call to S3, DynamoDB, SNS and SQS.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from loadtest.bench.images.collection import Kind
from loadtest.bench.images.origin import image_origin
from loadtest.bench.system.backend import Backend, NullControl
from loadtest.bench.system.one_core import on_core
from loadtest.bench.system.process import BenchFailed, Running, python_module
from loadtest.bench.system.stages import consumer_stage

Verification = Literal["full", "draft", "header"]

_US = 1_000_000
_PUTS = "s3:PutObject"
_DELETES = ("sqs:DeleteMessage", "sqs:DeleteMessageBatch")
_ITEMS_PER_IMAGE = {
    (_PUTS,): 1,
    ("dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:BatchExecuteStatement"): 2,
    ("sns:Publish", "sns:PublishBatch"): 1,
    _DELETES: 1,
    ("sqs:SendMessage", "sqs:SendMessageBatch"): 0,
}
"""Items that every program writes for an image, alone or in batches. A sent message is a requeue."""
_PRECEDING = 128
"""Twice the default concurrency, so that every connection is open."""
_POLL_S = 0.05
_STALL_S = 120.0


@dataclass(frozen=True, slots=True)
class Lap:
    """The cost of a number of images. `cpu_s` is user and system time, `seconds` is wall-clock time.

    `stored_bytes` is the size of the objects that were uploaded; 0 if the program uploads none.
    """

    images: int
    cpu_s: float
    seconds: float
    stored_bytes: int = 0

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
        stored_bytes=sum(lap.stored_bytes for lap in laps),
    )


class Subject(Protocol):
    """A program that fetches images."""

    async def lap(self, images: int) -> Lap:
        """Process this number of images. The program is idle before and after."""


@dataclass(slots=True)
class Consumer:
    """A program that reads the queue of a null AWS of its own."""

    process: Running
    aws: NullControl
    urls_of_kind: Sequence[str]
    urls: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.urls = itertools.cycle(self.urls_of_kind)

    async def lap(self, images: int) -> Lap:
        """As Subject. Raises BenchFailed unless every image was published once.

        Some images precede the measured ones. Idle connections were closed while other subjects had their turn, and
        under load, as in production, there are no such pauses.
        """
        await self._process(_PRECEDING, itertools.cycle(self.urls_of_kind))
        return await self._process(images, self.urls)

    async def _process(self, images: int, urls: Iterator[str]) -> Lap:
        await self.aws.reset()
        cpu, began = self.process.cpu_seconds(), time.perf_counter()
        await self.aws.fill(list(itertools.islice(urls, images)))
        async with asyncio.timeout(_STALL_S):
            while _total(await self._counts("items"), _DELETES) < images:
                self.process.fail_if_ended()
                await asyncio.sleep(_POLL_S)
        seconds, cpu = time.perf_counter() - began, self.process.cpu_seconds() - cpu
        check_work(await self._counts("items"), images)
        return Lap(images, cpu, seconds, (await self._counts("bytes"))[_PUTS])

    async def _counts(self, what: str) -> Mapping[str, int]:
        """Return what AWS received since the last reset, by operation."""
        counts: Mapping[str, int] = (await self.aws.calls())[what]
        return counts


def check_work(items: Mapping[str, int], images: int) -> None:
    """Raise BenchFailed unless AWS received exactly what each image needs. `items` are counted by operation."""
    for operations, each in _ITEMS_PER_IMAGE.items():
        if _total(items, operations) != each * images:
            raise BenchFailed(f"not every image was published once: {images} images, {items}")


def _total(items: Mapping[str, int], operations: Sequence[str]) -> int:
    return sum(items.get(operation, 0) for operation in operations)


@asynccontextmanager
async def our_consumer(
    aws: Backend,
    kind: Kind,
    verification: Verification,
    *,
    delay_ms: int = 0,
    core: int | None = None,
) -> AsyncIterator[Consumer]:
    """Run our consumer with default settings, except the allowed network and the verification.

    `delay_ms` is how long the origin waits before each response. `core` holds the consumer to one core.
    """
    settings = {
        "VERIFICATION": verification,
        # As in production: a log line for each image.
        "LOG_LEVEL": "info",
        "LOG_FORMAT": "json",
    }
    command = on_core(core, python_module("consumer"))
    opened = queue_consumer(aws.with_settings(**settings), kind, command, delay_ms=delay_ms)
    async with opened as consumer:
        yield consumer


@asynccontextmanager
async def queue_consumer(
    aws: Backend, kind: Kind, command: Sequence[str], *, delay_ms: int = 0
) -> AsyncIterator[Consumer]:
    """Run a command that reads the settings of a consumer, and an origin of its own."""
    async with (
        image_origin(kind, gated=False, delay_ms=delay_ms) as origin,
        consumer_stage(aws.with_settings(ALLOWED_NETWORKS="127.0.0.0/8"), command) as stage,
    ):
        yield Consumer(stage.process, NullControl(aws.endpoint), origin.urls(kind.count))

"""Senders of items: over a SubmitImages stream, or with one SubmitImage call per item."""

import asyncio
from typing import Any, Protocol

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.event_router import EventRouter
from loadtest.million.items import Items
from loadtest.million.scheduler import Scheduler

MAX_UNARY_CALLS = 200
CALL_TIMEOUT_S = 30.0
RETRY_S = 0.5
"""Delay before a failed call or stream is repeated."""

_RETRYABLE = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    }
)
"""Codes after which an item is sent again. Each item has a client-supplied id, so a repeat is idempotent."""
_RETRYABLE_NUMBERS = frozenset(code.value[0] for code in _RETRYABLE)


class Sender(Protocol):
    async def run(self) -> None:
        """Send items until the scheduler has no more."""


def image_of(items: Items, number: int) -> pb.SubmitImageRequest:
    return pb.SubmitImageRequest(
        url=items.url(number),
        customer_id=items.customer(number),
        request_id=items.request_id(number),
    )


class UnarySender:
    """Sends items with concurrent SubmitImage calls."""

    def __init__(
        self, stub: "pb_grpc.ImageServiceAsyncStub", scheduler: Scheduler, router: EventRouter
    ) -> None:
        self._stub = stub
        self._scheduler = scheduler
        self._router = router

    async def run(self) -> None:
        """As Sender."""
        async with asyncio.TaskGroup() as group:
            for _ in range(MAX_UNARY_CALLS):
                group.create_task(self._send_all())

    async def _send_all(self) -> None:
        while (number := await self._scheduler.next_item()) is not None:
            self._router.sent()
            try:
                await self._stub.SubmitImage(
                    image_of(self._router.items, number), timeout=CALL_TIMEOUT_S
                )
            except grpc.aio.AioRpcError as error:
                self._on_error(number, error.code())
            else:
                self._router.acknowledged(number)

    def _on_error(self, number: int, code: grpc.StatusCode) -> None:
        if code in _RETRYABLE:
            self._router.retry(number, code.name, RETRY_S)
        else:
            self._router.rejected(number, code.name)


class StreamSender:
    """Sends items over a SubmitImages stream, and opens another stream if it breaks."""

    def __init__(
        self, stub: "pb_grpc.ImageServiceAsyncStub", scheduler: Scheduler, router: EventRouter
    ) -> None:
        self._stub = stub
        self._scheduler = scheduler
        self._router = router

    async def run(self) -> None:
        """As Sender."""
        while not self._scheduler.finished:
            unanswered: set[int] = set()
            try:
                await self._run_stream(unanswered)
            except grpc.aio.AioRpcError as error:
                self._router.error(f"stream {error.code().name}")
            for number in unanswered:
                self._scheduler.retry(number, 0)
            if not self._scheduler.finished:
                await asyncio.sleep(RETRY_S)

    async def _run_stream(self, unanswered: set[int]) -> None:
        """Run one stream to its end. Items without a result stay in `unanswered`. Raises AioRpcError."""
        call = self._stub.SubmitImages()
        writing = asyncio.create_task(self._write(call, unanswered))
        try:
            async for response in call:
                for result in response.results:
                    self._on_result(result, unanswered)
        finally:
            call.cancel()
            # Wait for the writer: an item that it takes later would be missing from `unanswered`.
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, call: Any, unanswered: set[int]) -> None:
        while (number := await self._scheduler.next_item()) is not None:
            unanswered.add(number)
            self._router.sent()
            image = image_of(self._router.items, number)
            await call.write(pb.SubmitImagesRequest(item_id=format(number, "x"), image=image))
        await call.done_writing()

    def _on_result(self, result: pb.SubmitImagesResult, unanswered: set[int]) -> None:
        number = int(result.item_id, 16)
        unanswered.discard(number)
        if result.HasField("accepted"):
            self._router.acknowledged(number)
        elif result.error.code in _RETRYABLE_NUMBERS:
            delay = result.error.retry_delay.ToTimedelta().total_seconds()
            self._router.retry(number, result.error.reason, delay or RETRY_S)
        else:
            self._router.rejected(number, result.error.reason)

"""Senders: the bulk stream, and one call for each item."""

import asyncio
from typing import Any, Protocol

import grpc

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.desk import Desk
from loadtest.million.items import Items
from loadtest.million.work import Work

UNARY_AT_ONCE = 200
CALL_SECONDS = 30.0
PAUSE_SECONDS = 0.5
"""Before a call or stream that broke off is tried again."""

_AGAIN = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    }
)
"""What may succeed when it is sent again. Each item has an id of ours, so that this is safe."""
_AGAIN_NUMBERS = frozenset(code.value[0] for code in _AGAIN)


class Sender(Protocol):
    async def run(self) -> None:
        """Send what there is to send, to its end."""


def image_of(items: Items, number: int) -> pb.SubmitImageRequest:
    return pb.SubmitImageRequest(
        url=items.url(number),
        customer_id=items.customer(number),
        request_id=items.request_id(number),
    )


class UnarySender:
    """SubmitImage, many calls at a time."""

    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", work: Work, desk: Desk) -> None:
        self._stub = stub
        self._work = work
        self._desk = desk

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(UNARY_AT_ONCE):
                group.create_task(self._send_all())

    async def _send_all(self) -> None:
        while (number := await self._work.take()) is not None:
            self._desk.sent()
            try:
                await self._stub.SubmitImage(
                    image_of(self._desk.items, number), timeout=CALL_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                self._not_taken(number, error.code())
            else:
                self._desk.acknowledged(number)

    def _not_taken(self, number: int, code: grpc.StatusCode) -> None:
        if code in _AGAIN:
            self._desk.failed(number, code.name, PAUSE_SECONDS)
        else:
            self._desk.refused(number, code.name)


class StreamSender:
    """SubmitImages on one stream, opened anew when it breaks off."""

    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", work: Work, desk: Desk) -> None:
        self._stub = stub
        self._work = work
        self._desk = desk

    async def run(self) -> None:
        while not self._work.over:
            unanswered: set[int] = set()
            try:
                await self._one_stream(unanswered)
            except grpc.aio.AioRpcError as error:
                self._desk.trouble(f"stream {error.code().name}")
            for number in unanswered:
                self._work.again(number, 0)
            if not self._work.over:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _one_stream(self, unanswered: set[int]) -> None:
        """Until it ends. What it took and was not told of is left in `unanswered`. Raises AioRpcError."""
        call = self._stub.SubmitImages()
        writing = asyncio.create_task(self._write(call, unanswered))
        try:
            async for response in call:
                for result in response.results:
                    self._answered(result, unanswered)
        finally:
            call.cancel()
            # Taken numbers belong to this stream: none may be taken once they have been counted.
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, call: Any, unanswered: set[int]) -> None:
        while (number := await self._work.take()) is not None:
            unanswered.add(number)
            self._desk.sent()
            image = image_of(self._desk.items, number)
            await call.write(pb.SubmitImagesRequest(item_id=format(number, "x"), image=image))
        await call.done_writing()

    def _answered(self, result: pb.SubmitImagesResult, unanswered: set[int]) -> None:
        number = int(result.item_id, 16)
        unanswered.discard(number)
        if result.HasField("accepted"):
            self._desk.acknowledged(number)
        elif result.error.code in _AGAIN_NUMBERS:
            delay = result.error.retry_delay.ToTimedelta().total_seconds()
            self._desk.failed(number, result.error.reason, delay or PAUSE_SECONDS)
        else:
            self._desk.refused(number, result.error.reason)

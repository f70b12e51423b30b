"""Senders: the bulk stream, and one call for each item."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

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
        self._unanswered: set[int] = set()
        self._all_taken = False

    async def run(self) -> None:
        while not self._all_taken:
            try:
                async for response in self._stub.SubmitImages(self._requests()):
                    for result in response.results:
                        self._answered(result)
            except grpc.aio.AioRpcError as error:
                self._desk.trouble(f"stream {error.code().name}")
                await asyncio.sleep(PAUSE_SECONDS)
            for number in self._unanswered:
                self._work.again(number, 0)
            self._unanswered.clear()

    async def _requests(self) -> AsyncIterator[pb.SubmitImagesRequest]:
        while (number := await self._work.take()) is not None:
            self._unanswered.add(number)
            self._desk.sent()
            yield pb.SubmitImagesRequest(
                item_id=format(number, "x"), image=image_of(self._desk.items, number)
            )
        self._all_taken = True

    def _answered(self, result: pb.SubmitImagesResult) -> None:
        number = int(result.item_id, 16)
        self._unanswered.discard(number)
        if result.HasField("accepted"):
            self._desk.acknowledged(number)
        elif result.error.code in _AGAIN_NUMBERS:
            delay = result.error.retry_delay.ToTimedelta().total_seconds()
            self._desk.failed(number, result.error.reason, delay or PAUSE_SECONDS)
        else:
            self._desk.refused(number, result.error.reason)

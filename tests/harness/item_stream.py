"""The client of a SubmitImages stream, step by step."""

import asyncio
import uuid
from collections.abc import Iterable
from typing import Self

import grpc

from harness.grpc_client import submit_request
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc


def item(name: str, image: pb.SubmitImageRequest) -> pb.SubmitImagesRequest:
    return pb.SubmitImagesRequest(item_id=name, image=image)


def numbered_items(count: int) -> list[pb.SubmitImagesRequest]:
    return [item(str(number), submit_request(str(uuid.uuid4()))) for number in range(count)]


def names(results: dict[str, pb.SubmitImagesResult], outcome: str) -> set[str]:
    return {name for name, result in results.items() if result.WhichOneof("outcome") == outcome}


class ItemStream:
    """One call. `results_read` counts the results that were read, `messages` the messages that contained them."""

    def __init__(self, stub: "image_service_pb2_grpc.ImageServiceAsyncStub") -> None:
        self._call = stub.SubmitImages()
        self._sending: asyncio.Task[None] | None = None
        self.results_read = 0
        self.messages = 0

    @classmethod
    def on(cls, channel: grpc.aio.Channel) -> Self:
        return cls(image_service_pb2_grpc.ImageServiceStub(channel))

    async def send(self, sent: pb.SubmitImagesRequest) -> None:
        await self._call.write(sent)

    def send_all(self, items: Iterable[pb.SubmitImagesRequest]) -> "asyncio.Task[None]":
        """Send all items in the background, then close the client's side."""
        self._sending = asyncio.create_task(self._send_all(items))
        return self._sending

    async def _send_all(self, items: Iterable[pb.SubmitImagesRequest]) -> None:
        for each in items:
            await self._call.write(each)
        await self._call.done_writing()

    async def close(self) -> None:
        await self._call.done_writing()

    async def read(self) -> list[pb.SubmitImagesResult]:
        """Return the results of the next message; an empty list at the end. Raises AioRpcError if the stream breaks."""
        response = await self._call.read()
        if not isinstance(response, pb.SubmitImagesResponse):
            return []
        self.messages += 1
        self.results_read += len(response.results)
        return list(response.results)

    async def results(self) -> dict[str, pb.SubmitImagesResult]:
        """Read to the end. Return the results by item, each of which must have one result."""
        found: dict[str, pb.SubmitImagesResult] = {}
        while together := await self.read():
            for result in together:
                assert result.item_id not in found, f"{result.item_id} was answered twice"
                found[result.item_id] = result
        return found

    async def code(self) -> grpc.StatusCode:
        return await self._call.code()

    def cancel(self) -> None:
        self._call.cancel()

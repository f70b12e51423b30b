"""Streams of submits: each item is taken in by itself, and results that are ready together leave together.

A stream has two tasks, whatever it carries: one reads and begins, one writes. An item has none of its own, and the
writer waits for nothing but the next result, so a quiet stream answers at once and a busy one fills its messages.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from grpc.aio import ServicerContext

from core.errors import ImageServiceError
from core.request import ImageRequest
from imageservice.v1 import image_service_pb2 as pb
from server.metrics import PAUSED_STREAMS, ItemMetrics
from server.offer import offered_request
from server.refusals import ServerDraining
from server.rpc_errors import RpcError, item_error
from server.submission import Submissions
from server.translation import submit_response
from server.validation import echoed_item_id, valid_item

Context = ServicerContext[Any, Any]

MAX_RESULTS = 250
"""In one message. The longest results, ten violations each, then stay well within the 4 MiB that clients take."""

_ITEMS = ItemMetrics("SubmitImages")


class SubmitStreams:
    """The streams of this process; each holds at most `max_open` items, read and not answered yet.

    `failure` says what an item's error means to its caller.
    """

    def __init__(
        self,
        submissions: Submissions,
        failure: Callable[[BaseException], RpcError],
        *,
        max_open: int,
    ) -> None:
        self._submissions = submissions
        self._failure = failure
        self._max_open = max_open
        self._streams: set[_SubmitStream] = set()
        self._closed = False

    async def serve(self, context: Context) -> None:
        """Answer every item until the client has closed its side. Raises ServerDraining after `close`."""
        if self._closed:
            raise ServerDraining("This server takes no further submits.")
        stream = _SubmitStream(context, self._submissions, self._failure, max_open=self._max_open)
        self._streams.add(stream)
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)

    def close(self) -> None:
        """Take no further item; each stream answers those it took and ends with ServerDraining."""
        self._closed = True
        for stream in self._streams:
            stream.stop()


class _SubmitStream:
    def __init__(
        self,
        context: Context,
        submissions: Submissions,
        failure: Callable[[BaseException], RpcError],
        *,
        max_open: int,
    ) -> None:
        self._context = context
        self._submissions = submissions
        self._failure = failure
        self._max_open = max_open
        self._open = 0
        self._ready: list[tuple[str, ImageRequest | BaseException]] = []
        self._to_write = asyncio.Event()
        self._to_read = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        reading = asyncio.create_task(self._read(), name="read submits")
        reading.add_done_callback(lambda _: self._to_write.set())
        self._reading = reading
        try:
            await self._write(reading)
        finally:
            # Cancelled means that the client has gone. What was begun is accepted all the same.
            reading.cancel()
        if reading.cancelled():
            raise ServerDraining("This server takes no further submits.")
        reading.result()

    def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        context, submissions = self._context, self._submissions
        while True:
            while self._open >= self._max_open:
                self._to_read.clear()
                await _paused(self._to_read.wait())
            item = await context.read()
            if item is grpc.aio.EOF:
                return
            try:
                offered = offered_request(valid_item(item))
                while submissions.crowded:
                    await _paused(submissions.room())
                answer = submissions.begin(offered)
            except ImageServiceError as error:
                self._open += 1
                self._answer(echoed_item_id(item), error)
            else:
                self._open += 1
                answer.add_done_callback(partial(self._settled, item.item_id))

    def _settled(self, item_id: str, answer: asyncio.Future[ImageRequest]) -> None:
        self._answer(item_id, answer.exception() or answer.result())

    def _answer(self, item_id: str, outcome: ImageRequest | BaseException) -> None:
        self._ready.append((item_id, outcome))
        self._to_write.set()

    async def _write(self, reading: asyncio.Task[None]) -> None:
        while self._open or not reading.done():
            if not self._ready:
                self._to_write.clear()
                await self._to_write.wait()
                continue
            together, self._ready = self._ready[:MAX_RESULTS], self._ready[MAX_RESULTS:]
            await self._context.write(self._response(together))
            self._open -= len(together)
            self._to_read.set()

    def _response(
        self, together: list[tuple[str, ImageRequest | BaseException]]
    ) -> pb.SubmitImagesResponse:
        response = pb.SubmitImagesResponse()
        accepted = 0
        for item_id, outcome in together:
            if isinstance(outcome, ImageRequest):
                response.results.add(item_id=item_id, accepted=submit_response(outcome))
                accepted += 1
            else:
                failure = self._failure(outcome)
                response.results.add(item_id=item_id, error=item_error(failure))
                _ITEMS.ended(failure.reason.code)
        _ITEMS.ended(grpc.StatusCode.OK, accepted)
        return response


async def _paused(wait: Awaitable[object]) -> None:
    PAUSED_STREAMS.inc()
    try:
        await wait
    finally:
        PAUSED_STREAMS.dec()

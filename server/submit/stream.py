"""Streams of submits: each item is taken in by itself, and results that are ready together leave together.

A stream has two tasks, whatever it carries: one reads and begins, one writes. An item has none of its own:

    read ──► open ──► ready ──► sent
      what cannot begin ▲

At most `max_open` items are open or ready. A quiet stream, whose results come one by one, answers each at once; a busy
one fills its messages.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from grpc.aio import ServicerContext

from core.errors import ImageServiceError
from core.model.request import ImageRequest
from imageservice.v1 import image_service_pb2 as pb
from server.converters import fill_submit_response
from server.errors import RpcError, ServerDraining, item_error
from server.metrics import PAUSED_STREAMS, ItemMetrics
from server.submit.admission import SubmitAdmission, new_image_request
from server.validation import echoed_item_id, valid_item

Context = ServicerContext[Any, Any]

MAX_RESULTS = 250
"""In one message. The longest results, ten violations each, then stay well within the 4 MiB that clients take."""

_SHARES = 4
_LINGER_S = 0.005
"""After a message that was shared, the next one waits for a quarter of what is unanswered, but so many seconds at most.

So it costs no client more than a quarter of what it keeps under way, and the writing costs half.
"""

_ITEMS = ItemMetrics("SubmitImages")


class SubmitStreams:
    """The streams of this process; each holds at most `max_open` items, read and not answered yet.

    `failure` says what an item's error means to its caller.
    """

    def __init__(
        self,
        submissions: SubmitAdmission,
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
        submissions: SubmitAdmission,
        failure: Callable[[BaseException], RpcError],
        *,
        max_open: int,
    ) -> None:
        self._context = context
        self._submissions = submissions
        self._failure = failure
        self._max_open = max_open
        self._unanswered = 0
        """Items that are open or ready."""
        self._ready: list[tuple[str, ImageRequest | RpcError]] = []
        self._wanted = 1
        """Results for which the writer waits."""
        self._to_write = asyncio.Event()
        self._to_read = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Raises ServerDraining after `stop`."""
        reading = asyncio.create_task(self._read(), name="read submits")
        reading.add_done_callback(lambda _: self._to_write.set())
        self._reading = reading
        try:
            await self._write(reading)
        except BaseException:
            # The client has gone. What was begun is accepted all the same.
            reading.cancel()
            raise
        stopped = reading.cancelled()
        if stopped:
            raise ServerDraining("This server takes no further submits.")
        reading.result()

    def stop(self) -> None:
        """Read no further. A stream that its client has closed already ends as if there was no stop."""
        if self._reading is not None:
            self._reading.cancel()

    async def _read(self) -> None:
        context, submissions = self._context, self._submissions
        while True:
            while self._unanswered >= self._max_open:
                self._to_read.clear()
                await _paused(self._to_read.wait())
            item = await context.read()
            if item is grpc.aio.EOF:
                return
            try:
                offered = new_image_request(valid_item(item))
                while submissions.crowded:
                    await _paused(submissions.room())
                answer = submissions.begin(offered)
            except ImageServiceError as error:
                self._unanswered += 1
                self._refused(echoed_item_id(item), error)
            else:
                self._unanswered += 1
                answer.add_done_callback(partial(self._settled, item.item_id))

    # An item is counted when it is settled, whether or not anybody is left to be told.

    def _settled(self, item_id: str, answer: asyncio.Future[ImageRequest]) -> None:
        if error := answer.exception():
            self._refused(item_id, error)
        else:
            _ITEMS.ended(grpc.StatusCode.OK)
            self._is_ready(item_id, answer.result())

    def _refused(self, item_id: str, error: BaseException) -> None:
        failure = self._failure(error)
        _ITEMS.ended(failure.reason.code)
        self._is_ready(item_id, failure)

    def _is_ready(self, item_id: str, outcome: ImageRequest | RpcError) -> None:
        self._ready.append((item_id, outcome))
        if len(self._ready) >= self._wanted:
            self._to_write.set()

    async def _write(self, reading: asyncio.Task[None]) -> None:
        """Answer until nothing more is read and all that was read is answered."""
        shared = False
        while self._unanswered or not reading.done():
            if not self._ready:
                self._to_write.clear()
                await self._to_write.wait()
                continue
            if shared:
                await self._fill()
            together, self._ready = self._ready[:MAX_RESULTS], self._ready[MAX_RESULTS:]
            shared = len(together) > 1
            await self._context.write(_response(together))
            self._unanswered -= len(together)
            self._to_read.set()

    async def _fill(self) -> None:
        self._wanted = self._unanswered // _SHARES
        if len(self._ready) < self._wanted:
            self._to_write.clear()
            timer = asyncio.get_running_loop().call_later(_LINGER_S, self._to_write.set)
            await self._to_write.wait()
            timer.cancel()
        self._wanted = 1


def _response(together: list[tuple[str, ImageRequest | RpcError]]) -> pb.SubmitImagesResponse:
    response = pb.SubmitImagesResponse()
    for item_id, outcome in together:
        result = response.results.add(item_id=item_id)
        if isinstance(outcome, ImageRequest):
            fill_submit_response(result.accepted, outcome)
        else:
            result.error.CopyFrom(item_error(outcome))
    return response


async def _paused(wait: Awaitable[object]) -> None:
    PAUSED_STREAMS.inc()
    try:
        await wait
    finally:
        PAUSED_STREAMS.dec()

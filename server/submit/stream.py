"""SubmitImages streams: items are accepted one by one, and results that are ready together share a message.

A stream has two tasks, however many items it has: one reads and submits, one writes. An item has no task:

    read ──► open ──► ready ──► sent
      rejected ────────▲

At most `max_open` items are open or ready. If results arrive one by one, each is sent at once; on a busy stream a
message carries many results.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from grpc.aio import ServicerContext

from core.errors import ImageServiceError
from core.model.rendition import Presets
from core.model.request import ImageRequest
from imageservice.v1 import image_service_pb2 as pb
from server.converters import fill_submit_response
from server.errors import RpcError, ServerDraining, to_item_error
from server.metrics import PAUSED_STREAMS, ItemMetrics
from server.submit.admission import SubmitAdmission
from server.validation import echoed_item_id, parse_submit_item

Context = ServicerContext[Any, Any]

MAX_RESULTS = 250
"""Results in one message. Even with ten violations each they fit into the 4 MiB that gRPC clients accept by default."""

_BATCH_SHARE = 4
_LINGER_S = 0.005
"""After a message with several results, the next message waits until a quarter of the unanswered items is ready, for at
most this time.

This delays a client by at most a quarter of its items in flight, and halves the cost of writing.
"""

_ITEMS = ItemMetrics("SubmitImages")


class SubmitStreams:
    """The open streams of this process. Each has at most `max_open` items that were read and are not answered yet.

    `report_error` converts the error of an item for the caller. `presets` are those of this installation.
    """

    def __init__(
        self,
        admission: SubmitAdmission,
        report_error: Callable[[BaseException], RpcError],
        *,
        presets: Presets,
        max_open: int,
    ) -> None:
        self._new_stream = partial(
            _SubmitStream,
            admission=admission,
            report_error=report_error,
            presets=presets,
            max_open=max_open,
        )
        self._streams: set[_SubmitStream] = set()

    async def serve(self, context: Context) -> None:
        """Answer every item until the client closes its side, or until `begin_drain`: raises ServerDraining then."""
        stream = self._new_stream(context)
        self._streams.add(stream)
        try:
            await stream.run()
        finally:
            self._streams.discard(stream)

    def begin_drain(self) -> None:
        """Read no more items; each stream answers the items that it has read, and ends with ServerDraining."""
        for stream in self._streams:
            stream.stop_reading()


class _SubmitStream:
    def __init__(
        self,
        context: Context,
        admission: SubmitAdmission,
        report_error: Callable[[BaseException], RpcError],
        *,
        presets: Presets,
        max_open: int,
    ) -> None:
        self._context = context
        self._presets = presets
        self._admission = admission
        self._report_error = report_error
        self._max_open = max_open
        self._unanswered = 0
        """Items that are open or ready."""
        self._ready: list[tuple[str, ImageRequest | RpcError]] = []
        self._write_threshold = 1
        """Ready results that wake the writer."""
        self._can_write = asyncio.Event()
        self._can_read = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Raises ServerDraining after `stop_reading`."""
        reader = asyncio.create_task(self._read(), name="submit stream reader")
        reader.add_done_callback(lambda _: self._can_write.set())
        self._reader = reader
        try:
            await self._write(reader)
        except BaseException:
            # The client has disconnected. Submits that were started are still accepted.
            reader.cancel()
            raise
        if reader.cancelled():
            raise ServerDraining("This server accepts no more submits.")
        reader.result()

    def stop_reading(self) -> None:
        """Has no effect on a stream whose client has already closed its side: it ends OK."""
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        context, admission = self._context, self._admission
        while True:
            while self._unanswered >= self._max_open:
                self._can_read.clear()
                await _count_paused(self._can_read.wait())
            item = await context.read()
            if item is grpc.aio.EOF:
                return
            try:
                request = parse_submit_item(item, self._presets)
                while admission.must_wait(request.customer_id):
                    await _count_paused(admission.wait_for_capacity(request.customer_id))
                bulk = item.image.lane == pb.LANE_BULK
                answer = admission.submit_streamed(request, bulk=bulk)
            except ImageServiceError as error:
                self._unanswered += 1
                self._on_error(echoed_item_id(item), error)
            else:
                self._unanswered += 1
                answer.add_done_callback(partial(self._on_answer, item.item_id))

    # The metrics count an item when its result is known, even if the client has disconnected.

    def _on_answer(self, item_id: str, answer: asyncio.Future[ImageRequest]) -> None:
        if error := answer.exception():
            self._on_error(item_id, error)
        else:
            _ITEMS.ended(grpc.StatusCode.OK)
            self._add_result(item_id, answer.result())

    def _on_error(self, item_id: str, error: BaseException) -> None:
        failure = self._report_error(error)
        _ITEMS.ended(failure.reason.code)
        self._add_result(item_id, failure)

    def _add_result(self, item_id: str, result: ImageRequest | RpcError) -> None:
        self._ready.append((item_id, result))
        if len(self._ready) >= self._write_threshold:
            self._can_write.set()

    async def _write(self, reader: asyncio.Task[None]) -> None:
        """Write results until the reader has ended and every item is answered."""
        was_batch = False
        while self._unanswered or not reader.done():
            if not self._ready:
                self._can_write.clear()
                await self._can_write.wait()
                continue
            if was_batch:
                await self._linger()
            batch, self._ready = self._ready[:MAX_RESULTS], self._ready[MAX_RESULTS:]
            was_batch = len(batch) > 1
            await self._context.write(_response(batch))
            self._unanswered -= len(batch)
            self._can_read.set()

    async def _linger(self) -> None:
        self._write_threshold = self._unanswered // _BATCH_SHARE
        if len(self._ready) < self._write_threshold:
            self._can_write.clear()
            timer = asyncio.get_running_loop().call_later(_LINGER_S, self._can_write.set)
            await self._can_write.wait()
            timer.cancel()
        self._write_threshold = 1


def _response(batch: list[tuple[str, ImageRequest | RpcError]]) -> pb.SubmitImagesResponse:
    response = pb.SubmitImagesResponse()
    for item_id, outcome in batch:
        result = response.results.add(item_id=item_id)
        if isinstance(outcome, ImageRequest):
            fill_submit_response(result.accepted, outcome)
        else:
            result.error.CopyFrom(to_item_error(outcome))
    return response


async def _count_paused(wait: Awaitable[object]) -> None:
    PAUSED_STREAMS.inc()
    try:
        await wait
    finally:
        PAUSED_STREAMS.dec()

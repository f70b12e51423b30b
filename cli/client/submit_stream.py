"""Many submits over one stream. A broken stream is reopened, and no submit is lost."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import grpc

from cli.client.client import CALL_TIMEOUT_S, CallFailed, Client, RetriesExhausted, SubmitCall
from cli.rpc_error import RpcError, parse_item_error
from imageservice.v1 import image_service_pb2 as pb

MAX_UNANSWERED_ITEMS = 256
"""Enough to fill a server's batches, and less than a server holds for one stream."""

_CLOSE_TIMEOUT_S = 2.0


def _stream_broken(message: str) -> RpcError:
    return RpcError("UNAVAILABLE", "STREAM_BROKEN", message)


_NO_ANSWER = _stream_broken(f"the server answered nothing for {CALL_TIMEOUT_S:g} s")
_ENDED_EARLY = _stream_broken("the server ended the stream before it had answered")


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    request: pb.SubmitImagesRequest
    answer: asyncio.Future[pb.SubmitImageResponse]


class SubmitStream:
    """Sends submits and returns their results. Create one with `open_submit_stream`.

    A broken stream is replaced, and items without a result are sent again under the same request ids, so that the
    service accepts none twice. If the server has never answered, the stream is given up after the attempts of the
    policy; otherwise after the time in which servers restart. All items without a result then fail.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._unanswered: dict[str, _Item] = {}
        self._unsent: deque[_Item] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._answered = False
        self._failures = 0
        self._disconnected_at = 0.0
        self._fault: Exception | None = None
        """The error that ended `run`."""

    async def submit(self, message: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        """Submit under an id that the caller chose, as Client.submit does. Raises CallFailed."""
        return await self._client.call_with_retries(self._submit_once, message)

    async def run(self) -> None:
        """Send submits until `close`. If it ends early, all pending submits fail."""
        try:
            await self._run()
        except BaseException as error:
            self._fault = error if isinstance(error, Exception) else RetriesExhausted(_ENDED_EARLY)
            self._fail(self._fault)
            raise

    async def _run(self) -> None:
        while await self._wait_for_items():
            self._unsent = deque(self._unanswered.values())
            try:
                await self._run_stream(self._client.open_submit_stream_call())
            except CallFailed as refused:
                await self._on_disconnect(refused)

    def close(self) -> None:
        """Half-close the stream. Call it when all items have results."""
        self._closing = True
        self._wake.set()

    async def _wait_for_items(self) -> bool:
        while not self._unanswered and not self._closing:
            self._wake.clear()
            await self._wake.wait()
        return not self._closing

    async def _submit_once(self, message: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        if self._fault is not None:
            raise self._fault
        name = str(next(self._numbers))
        item = _Item(
            pb.SubmitImagesRequest(item_id=name, image=message),
            asyncio.get_running_loop().create_future(),
        )
        self._unanswered[name] = item
        self._unsent.append(item)
        self._wake.set()
        try:
            return await item.answer
        finally:
            self._unanswered.pop(name, None)

    async def _run_stream(self, call: SubmitCall) -> None:
        """Send and read until the stream breaks. Raises CallFailed."""
        writing = asyncio.create_task(self._write(call))
        try:
            await self._read(call)
        except grpc.aio.AioRpcError as error:
            raise CallFailed(_end(self._client.refused(error).fault)) from None
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            call.cancel()

    async def _write(self, call: SubmitCall) -> None:
        # The reader notices a call that has ended.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while not self._closing:
                while self._unsent:
                    await call.write(self._unsent.popleft().request)
                self._wake.clear()
                await self._wake.wait()
            await call.done_writing()

    async def _read(self, call: SubmitCall) -> None:
        # The read is always active, so that a drain is noticed before the next item.
        while isinstance(response := await self._next(call), pb.SubmitImagesResponse):
            self._answered, self._failures = True, 0
            for result in response.results:
                self._settle(result)
        if not self._closing:
            raise CallFailed(_ENDED_EARLY)

    async def _next(self, call: SubmitCall) -> object:
        reading = asyncio.ensure_future(call.read())
        try:
            while True:
                oldest = next(iter(self._unanswered), "")
                if (await asyncio.wait({reading}, timeout=CALL_TIMEOUT_S))[0]:
                    return reading.result()
                if oldest in self._unanswered:
                    raise CallFailed(_NO_ANSWER)
        finally:
            reading.cancel()

    def _settle(self, result: pb.SubmitImagesResult) -> None:
        item = self._unanswered.pop(result.item_id, None)
        if item is None or item.answer.done():
            return
        if result.HasField("error"):
            item.answer.set_exception(CallFailed(parse_item_error(result.error)))
        else:
            item.answer.set_result(result.accepted)

    async def _on_disconnect(self, refused: CallFailed) -> None:
        self._disconnected_at = self._disconnected_at if self._failures else time.monotonic()
        self._failures += 1
        if self._exhausted(refused.fault):
            self._fail(RetriesExhausted(refused.fault))
        else:
            await asyncio.sleep(self._client.pause(self._failures, refused.fault))
        if not self._unanswered:
            self._failures = 0

    def _fail(self, error: Exception) -> None:
        for item in self._unanswered.values():
            if not item.answer.done():
                item.answer.set_exception(error)
        self._unanswered.clear()

    def _exhausted(self, fault: RpcError) -> bool:
        retry = self._client.retry
        if self._answered:
            return retry.watch_timed_out(time.monotonic() - self._disconnected_at, fault)
        return retry.exhausted(self._failures, fault)


def _end(fault: RpcError) -> RpcError:
    """Return why the stream ended. grpc.aio reports INTERNAL if a write was the first call to fail."""
    if fault.maybe_applied and not fault.retryable:
        return _stream_broken(fault.sentence())
    return fault


@asynccontextmanager
async def open_submit_stream(client: Client) -> AsyncIterator[SubmitStream]:
    stream = SubmitStream(client)
    running = asyncio.create_task(stream.run())
    try:
        yield stream
        stream.close()
        await asyncio.wait({running}, timeout=_CLOSE_TIMEOUT_S)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

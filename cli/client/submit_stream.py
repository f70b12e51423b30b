"""Many submits over one stream, which is opened again where it breaks. Nothing that was submitted is lost by that."""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import grpc

from cli.client.client import CALL_SECONDS, Client, GivenUp, Items, Refused
from cli.rpc_error import RpcFault, fault_of_item
from imageservice.v1 import image_service_pb2 as pb

ITEMS_AT_ONCE = 256
"""Without an answer. Enough for a server's batches to fill; below what it holds for one stream."""

_GOODBYE_SECONDS = 2.0


def _broken_off(message: str) -> RpcFault:
    return RpcFault("UNAVAILABLE", "STREAM_BROKEN", message)


_SILENT = _broken_off(f"the server answered nothing for {CALL_SECONDS:g} s")
_ENDED = _broken_off("the server ended the stream before it had answered")


@dataclass(frozen=True, slots=True, eq=False)
class _Item:
    request: pb.SubmitImagesRequest
    answer: asyncio.Future[pb.SubmitImageResponse]


class ItemStream:
    """Open one by `item_stream`.

    A stream that breaks is replaced, and what it left without an answer is sent again: under the ids that were sent
    before, so that nothing is accepted twice. A server that never answered is given up after the policy's attempts,
    one that did after the time in which servers restart; then everything without an answer is refused.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._numbers = itertools.count()
        self._unanswered: dict[str, _Item] = {}
        self._unsent: deque[_Item] = deque()
        self._asked = asyncio.Event()
        self._closing = False
        self._answered = False
        self._failures = 0
        self._lost = 0.0
        self._fault: Exception | None = None
        """Of `run`, once it has ended by one."""

    async def submit(
        self, url: str, customer: str, request_id: str, labels: Mapping[str, str] | None = None
    ) -> pb.SubmitImageResponse:
        """As Client.submit: under an id of the caller's, which makes the retries safe. Raises Refused."""
        asked = pb.SubmitImageRequest(
            url=url, customer_id=customer, request_id=request_id, labels=labels
        )
        return await self._client.retried(self._submit_once, asked)

    async def run(self) -> None:
        """Carry what is submitted, until `close`. Whatever ends it earlier, no submit waits for ever."""
        try:
            await self._run()
        except BaseException as error:
            self._fault = error if isinstance(error, Exception) else GivenUp(_ENDED)
            self._fail(self._fault)
            raise

    async def _run(self) -> None:
        while await self._anything():
            self._unsent = deque(self._unanswered.values())
            try:
                await self._carry(self._client.open_items())
            except Refused as refused:
                await self._broken(refused)

    def close(self) -> None:
        """End the stream in order; for when everything is answered."""
        self._closing = True
        self._asked.set()

    async def _anything(self) -> bool:
        while not self._unanswered and not self._closing:
            self._asked.clear()
            await self._asked.wait()
        return not self._closing

    async def _submit_once(self, asked: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        if self._fault is not None:
            raise self._fault
        name = str(next(self._numbers))
        item = _Item(
            pb.SubmitImagesRequest(item_id=name, image=asked),
            asyncio.get_running_loop().create_future(),
        )
        self._unanswered[name] = item
        self._unsent.append(item)
        self._asked.set()
        try:
            return await item.answer
        finally:
            self._unanswered.pop(name, None)

    async def _carry(self, call: Items) -> None:
        """Send and read until the stream breaks. Raises Refused."""
        writing = asyncio.create_task(self._write(call))
        try:
            await self._read(call)
        except grpc.aio.AioRpcError as error:
            raise Refused(_end(self._client.refused(error).fault)) from None
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            call.cancel()

    async def _write(self, call: Items) -> None:
        # A call that has ended is noticed by whoever reads it.
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            while not self._closing:
                while self._unsent:
                    await call.write(self._unsent.popleft().request)
                self._asked.clear()
                await self._asked.wait()
            await call.done_writing()

    async def _read(self, call: Items) -> None:
        # Also while nothing is asked, so that a drain is noticed before the next item.
        while isinstance(response := await self._next(call), pb.SubmitImagesResponse):
            self._answered, self._failures = True, 0
            for result in response.results:
                self._settle(result)
        if not self._closing:
            raise Refused(_ENDED)

    async def _next(self, call: Items) -> object:
        reading = asyncio.ensure_future(call.read())
        try:
            while True:
                oldest = next(iter(self._unanswered), "")
                if (await asyncio.wait({reading}, timeout=CALL_SECONDS))[0]:
                    return reading.result()
                if oldest in self._unanswered:
                    raise Refused(_SILENT)
        finally:
            reading.cancel()

    def _settle(self, result: pb.SubmitImagesResult) -> None:
        item = self._unanswered.pop(result.item_id, None)
        if item is None or item.answer.done():
            return
        if result.HasField("error"):
            item.answer.set_exception(Refused(fault_of_item(result.error)))
        else:
            item.answer.set_result(result.accepted)

    async def _broken(self, refused: Refused) -> None:
        self._lost = self._lost if self._failures else time.monotonic()
        self._failures += 1
        if self._gives_up(refused.fault):
            self._fail(GivenUp(refused.fault))
        else:
            await asyncio.sleep(self._client.pause(self._failures, refused.fault))
        if not self._unanswered:
            self._failures = 0

    def _fail(self, error: Exception) -> None:
        for item in self._unanswered.values():
            if not item.answer.done():
                item.answer.set_exception(error)
        self._unanswered.clear()

    def _gives_up(self, fault: RpcFault) -> bool:
        retry = self._client.retry
        if self._answered:
            return retry.loses_sight(time.monotonic() - self._lost, fault)
        return retry.gives_up(self._failures, fault)


def _end(fault: RpcFault) -> RpcFault:
    """Why the stream ended. grpc.aio calls it INTERNAL where a write was the first to meet the end."""
    if fault.undecided and not fault.retryable:
        return _broken_off(fault.sentence())
    return fault


@asynccontextmanager
async def item_stream(client: Client) -> AsyncIterator[ItemStream]:
    stream = ItemStream(client)
    running = asyncio.create_task(stream.run())
    try:
        yield stream
        stream.close()
        await asyncio.wait({running}, timeout=_GOODBYE_SECONDS)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

"""The submits of a run. Each is repeated until it has an answer that is final."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import grpc
from google.rpc import code_pb2

from core.resilience.backoff import Backoff
from imageservice.v1 import image_service_pb2 as pb
from robustness.history import NO_RESULT, OK, Planned, StreamEnded, Submitted
from robustness.traffic.client import CALL_TIMEOUT_S, STREAM_TIMEOUT_S, Callers, Failed, failed
from robustness.traffic.origin import ImageOrigin
from robustness.traffic.plan import PlannedRequest, PlannedSubmit, calls, image_sha256

_FINAL = frozenset({OK, "ALREADY_EXISTS", "INVALID_ARGUMENT"})
_BACKOFF = Backoff(0.2, 2.0)
_STREAM_ITEMS = 60
_STREAM_WAIT_S = 1.0
"""Longest time that a planned item waits for its stream to fill."""
_CONCURRENT_CALLS = 200
_CONCURRENT_STREAMS = 8


@dataclass(slots=True)
class Traffic:
    """Submits the requests of the plan at their times. `begun` is the time of the start."""

    callers: Callers
    origin: ImageOrigin
    requests: Mapping[str, PlannedRequest]
    accepted_at: dict[str, float] = field(default_factory=dict)
    """By id: the time at which its first acknowledgement was known."""
    finished: asyncio.Event = field(default_factory=asyncio.Event)
    _calls: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_CONCURRENT_CALLS))
    _streams: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(_CONCURRENT_STREAMS)
    )

    def record_plan(self) -> None:
        for request in self.requests.values():
            for index, content in enumerate(request.contents):
                self.callers.history.add(
                    Planned(
                        request.id,
                        index,
                        content.customer,
                        self.origin.url(content),
                        dict(content.labels),
                        content.behaviour,
                        image_sha256(content.image),
                    )
                )

    async def run(self) -> None:
        """Make all calls. Returns when each has a final answer."""
        began = time.monotonic()
        waiting: list[PlannedSubmit] = []
        async with asyncio.TaskGroup() as tasks:
            for planned in calls(list(self.requests.values())):
                await asyncio.sleep(max(0.0, began + planned.at - time.monotonic()))
                if planned.streamed:
                    waiting.append(planned)
                else:
                    await self._calls.acquire()
                    tasks.create_task(self._submit(planned))
                if waiting and (
                    len(waiting) >= _STREAM_ITEMS or planned.at - waiting[0].at > _STREAM_WAIT_S
                ):
                    await self._streams.acquire()
                    tasks.create_task(self._stream(waiting))
                    waiting = []
            if waiting:
                await self._streams.acquire()
                tasks.create_task(self._stream(waiting))
        self.finished.set()

    async def _submit(self, planned: PlannedSubmit) -> None:
        try:
            await self.submit(planned)
        finally:
            self._calls.release()

    async def submit(self, planned: PlannedSubmit) -> None:
        """Submit one request by SubmitImage until the answer is final."""
        attempt = 0
        while True:
            attempt += 1
            server, stub = self.callers.any()
            began = time.time()
            try:
                answer = await stub.SubmitImage(self._message(planned), timeout=CALL_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                failure = failed(error)
                self._record(planned, "SubmitImage", server, began, failure)
                if failure.code in _FINAL:
                    return
                await asyncio.sleep(_BACKOFF.delay(attempt))
            else:
                self._record(planned, "SubmitImage", server, began, answer)
                return

    async def _stream(self, planned: list[PlannedSubmit]) -> None:
        """Submit requests over streams until each has a final answer."""
        left = {str(number): each for number, each in enumerate(planned)}
        attempt = 0
        try:
            while left:
                attempt += 1
                for item in await self._stream_once(dict(left)):
                    del left[item]
                if left:
                    await asyncio.sleep(_BACKOFF.delay(attempt))
        finally:
            self._streams.release()

    async def _stream_once(self, items: Mapping[str, PlannedSubmit]) -> list[str]:
        """Send all items over one stream. Return those with a final answer."""
        server, stub = self.callers.any()
        began = time.time()
        results: list[str] = []
        final: set[str] = set()
        code, failure = OK, Failed(NO_RESULT, "", None, "")
        try:
            stream = stub.SubmitImages(self._items(items), timeout=STREAM_TIMEOUT_S)
            async for response in stream:
                for result in response.results:
                    results.append(result.item_id)
                    if result.item_id not in items:
                        continue
                    answer = _answer(result)
                    self._record(items[result.item_id], "SubmitImages", server, began, answer)
                    if isinstance(answer, pb.SubmitImageResponse) or answer.code in _FINAL:
                        final.add(result.item_id)
        except grpc.aio.AioRpcError as error:
            broken = self.callers.refused("SubmitImages", server, began, error)
            code, failure = broken.code, Failed(NO_RESULT, "", None, broken.code)
        for item in items.keys() - set(results):
            self._record(items[item], "SubmitImages", server, began, failure)
        sent = tuple(items)
        self.callers.history.add(
            StreamEnded(began, time.time(), server, code, sent, tuple(results))
        )
        return list(final)

    async def _items(
        self, items: Mapping[str, PlannedSubmit]
    ) -> AsyncIterator[pb.SubmitImagesRequest]:
        for item, planned in items.items():
            yield pb.SubmitImagesRequest(item_id=item, image=self._message(planned))

    def _message(self, planned: PlannedSubmit) -> pb.SubmitImageRequest:
        content = self.requests[planned.id].contents[planned.content]
        return pb.SubmitImageRequest(
            url=self.origin.url(content),
            customer_id=content.customer,
            request_id=planned.id,
            labels=dict(content.labels),
        )

    def _record(
        self,
        planned: PlannedSubmit,
        rpc: str,
        server: str,
        began: float,
        answer: Failed | pb.SubmitImageResponse,
    ) -> None:
        now = time.time()
        if isinstance(answer, Failed):
            event = Submitted(
                began,
                now,
                planned.id,
                planned.content,
                rpc,
                server,
                answer.code,
                answer.reason,
                answer.retry_after,
                answer.text,
            )
        else:
            state = pb.State.Name(answer.state).removeprefix("STATE_")
            event = Submitted(
                began,
                now,
                answer.request_id,
                planned.content,
                rpc,
                server,
                OK,
                state=state,
                revision=answer.revision,
            )
            self.accepted_at.setdefault(planned.id, now)
        self.callers.history.add(event)


def _answer(result: pb.SubmitImagesResult) -> pb.SubmitImageResponse | Failed:
    if result.WhichOneof("outcome") == "accepted":
        return result.accepted
    error = result.error
    delay = (
        error.retry_delay.ToTimedelta().total_seconds() if error.HasField("retry_delay") else None
    )
    return Failed(code_pb2.Code.Name(error.code), error.reason, delay, error.message)

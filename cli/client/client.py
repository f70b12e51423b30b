"""The gRPC client of the commands: one channel, safe retries, watches that resume."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import grpc
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from cli.errors import CommandFailed
from cli.output import text
from cli.rpc_error import RpcError, parse_rpc_error
from core.resilience.backoff import Backoff
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc

CALL_TIMEOUT_S = 30.0
MAX_WATCHED_IDS = 100
"""The contract's limit of ids per watch."""

TERMINAL = frozenset({pb.STATE_COMPLETED, pb.STATE_FAILED})

OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
_BACKOFF = Backoff(0.5, 8.0)

Q = TypeVar("Q")
A = TypeVar("A")
SubmitCall = grpc.aio.StreamStreamCall[pb.SubmitImagesRequest, pb.SubmitImagesResponse]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Times are in seconds."""

    attempts: int = 6
    backoff: Backoff = _BACKOFF
    longest_retry_after_s: float = 60.0
    """The longest Retry-After that the client respects."""
    longest_watch_gap_s: float = 60.0
    """The longest interruption of a watch. Server restarts are shorter, and the requests are safe."""

    def exhausted(self, attempt: int, fault: RpcError) -> bool:
        """Return True if failed attempt `attempt` (from 1) was the last."""
        return not fault.retryable or attempt >= self.attempts

    def watch_timed_out(self, seconds: float, fault: RpcError) -> bool:
        """Return True if a watch that has been interrupted for `seconds` is given up."""
        return not fault.retryable or seconds >= self.longest_watch_gap_s

    def wait(self, attempt: int, fault: RpcError) -> float:
        """Return the seconds to wait after failed attempt number `attempt`.

        The backoff is added to the server's Retry-After: clients that got the same value do not return together.
        """
        return min(fault.retry_after or 0.0, self.longest_retry_after_s) + self.backoff.delay(
            attempt
        )


class CallFailed(CommandFailed):
    """The service refused a call, or did not answer after all attempts."""

    def __init__(self, fault: RpcError) -> None:
        super().__init__(fault.sentence())
        self.fault = fault


class RetriesExhausted(CallFailed):
    """All attempts were already made."""


class Client:
    """The service. Every call raises CallFailed. Create a client with `connect`."""

    def __init__(
        self, stub: "pb_grpc.ImageServiceAsyncStub", address: str, retry: RetryPolicy
    ) -> None:
        self._stub = stub
        self._address = address
        self.retry = retry
        self._unreachable_reported = False

    async def submit(self, message: pb.SubmitImageRequest) -> pb.SubmitImageResponse:
        """Submit under an id that the caller chose. Only such an id makes the retries safe."""
        return await self.call_with_retries(partial(self._call, self._stub.SubmitImage), message)

    async def call_with_retries(self, once: Callable[[Q], Awaitable[A]], message: Q) -> A:
        """Call `once` until it succeeds or fails permanently. The call must be idempotent."""
        retrying = AsyncRetrying(
            stop=self._exhausted,
            wait=lambda state: self.pause(state.attempt_number, _refused(state).fault),
            retry=retry_if_exception_type(CallFailed),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                return await once(message)
        raise AssertionError("tenacity ends with a result or an error")

    async def _call(self, method: "grpc.aio.UnaryUnaryMultiCallable[Q, A]", message: Q) -> A:
        try:
            return await method(message, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise self.refused(error) from None

    def open_submit_stream_call(self) -> SubmitCall:
        """Open a stream of submits. A broken connection raises AioRpcError."""
        return self._stub.SubmitImages()

    async def status(self, request_id: str) -> pb.ImageRequest:
        message = pb.GetStatusRequest(request_id=request_id)
        answer = await self.call_with_retries(partial(self._call, self._stub.GetStatus), message)
        return answer.request

    async def image(self, image_id: str) -> pb.Image:
        message = pb.GetImageRequest(image_id=image_id)
        answer = await self.call_with_retries(partial(self._call, self._stub.GetImage), message)
        return answer.image

    async def create_renditions(
        self, image_id: str, presets: Sequence[str]
    ) -> pb.CreateRenditionsResponse:
        message = pb.CreateRenditionsRequest(image_id=image_id, presets=presets)
        call = partial(self._call, self._stub.CreateRenditions)
        return await self.call_with_retries(call, message)

    async def requests(self, message: pb.ListRequestsRequest) -> AsyncIterator[pb.ImageRequest]:
        """Yield all requests of a list. Pages are read on demand."""
        page = pb.ListRequestsRequest()
        page.CopyFrom(message)
        while True:
            answer = await self.call_with_retries(
                partial(self._call, self._stub.ListRequests), page
            )
            for request in answer.requests:
                yield request
            page.page_token = answer.next_page_token
            if not page.page_token:
                return

    async def search(
        self, message: pb.SearchImagesRequest
    ) -> AsyncIterator[pb.SearchImagesResponse]:
        """Yield the pages of a search on demand. Only the first page has facets."""
        page = pb.SearchImagesRequest()
        page.CopyFrom(message)
        while True:
            answer = await self.search_page(page)
            yield answer
            page.facets, page.page_token = False, answer.next_page_token
            if not page.page_token:
                return

    async def search_page(self, message: pb.SearchImagesRequest) -> pb.SearchImagesResponse:
        return await self.call_with_retries(partial(self._call, self._stub.SearchImages), message)

    async def watch(self, request_ids: Sequence[str]) -> AsyncIterator[pb.ImageRequest]:
        """Yield each id's current state, then each later one, until all are terminal. Takes 1 to 100 unique ids.

        A broken stream is reopened for the ids that are not terminal. The time limit for an interruption restarts
        with every event.
        """
        revisions = dict.fromkeys(request_ids, -1)
        failures, lost = 0, 0.0
        while revisions:
            try:
                async for request in self._states(list(revisions)):
                    failures = 0
                    # A terminal id is no longer in the dictionary; repeated events of it are dropped.
                    if request.revision > revisions.get(request.request_id, request.revision):
                        revisions[request.request_id] = request.revision
                        if request.state in TERMINAL:
                            del revisions[request.request_id]
                        yield request
            except CallFailed as refused:
                lost = lost if failures else time.monotonic()
                failures += 1
                if self.retry.watch_timed_out(time.monotonic() - lost, refused.fault):
                    raise
                await asyncio.sleep(self.pause(failures, refused.fault))
            else:
                return

    def _exhausted(self, state: RetryCallState) -> bool:
        refused = _refused(state)
        spent = isinstance(refused, RetriesExhausted)
        return spent or self.retry.exhausted(state.attempt_number, refused.fault)

    def refused(self, error: grpc.aio.AioRpcError) -> CallFailed:
        return CallFailed(parse_rpc_error(error, self._address))

    def pause(self, attempt: int, fault: RpcError) -> float:
        """Return the seconds to wait after failed attempt `attempt`. Reports once that no server answers."""
        if fault.unreachable_server and not self._unreachable_reported:
            self._unreachable_reported = True
            text.print_message(
                sys.stderr, f"imageservice: no server at {self._address} yet, trying again"
            )
        return self.retry.wait(attempt, fault)

    async def _states(self, request_ids: list[str]) -> AsyncIterator[pb.ImageRequest]:
        call = self._stub.WatchRequest(pb.WatchRequestRequest(request_ids=request_ids))
        try:
            async for answer in call:
                yield answer.request
        except grpc.aio.AioRpcError as error:
            raise self.refused(error) from None
        finally:
            call.cancel()


def _refused(state: RetryCallState) -> CallFailed:
    """Return the error of a failed attempt. Tenacity retries CallFailed only."""
    error = state.outcome.exception() if state.outcome is not None else None
    if not isinstance(error, CallFailed):
        raise TypeError(f"message to retry after {error!r}")
    return error


@asynccontextmanager
async def connect(address: str, retry: RetryPolicy | None = None) -> AsyncIterator[Client]:
    """Yield a client for HOST:PORT. It connects at the first call."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        yield Client(pb_grpc.ImageServiceStub(channel), address, retry or RetryPolicy())

"""The callers of the run: a channel to each server, and the errors of their calls."""

import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import grpc

from harness.grpc_client import refusal
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc
from robustness.history import History, Observed, Refused

_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
CALL_TIMEOUT_S = 30.0
STREAM_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of a call. `text` is set if the error has no reason."""

    code: str
    reason: str
    retry_after: float | None
    text: str


def failed(error: grpc.aio.AioRpcError) -> Failed:
    failure = refusal(error)
    text = "" if failure.reason else (error.details() or "")
    return Failed(failure.code.name, failure.reason, failure.retry_after, text)


@dataclass(frozen=True, slots=True)
class Callers:
    """Calls go to a server chosen by `rng`, over one connection to each server."""

    history: History
    rng: random.Random
    stubs: "dict[str, image_service_pb2_grpc.ImageServiceAsyncStub]" = field(default_factory=dict)

    def any(self) -> "tuple[str, image_service_pb2_grpc.ImageServiceAsyncStub]":
        """Return a server's name and its stub."""
        name = self.rng.choice(list(self.stubs))
        return name, self.stubs[name]

    def refused(
        self, rpc: str, server: str, began: float, error: grpc.aio.AioRpcError, *ids: str
    ) -> Failed:
        """Record the error of a read."""
        failure = failed(error)
        self.history.add(
            Refused(
                began,
                time.time(),
                rpc,
                server,
                failure.code,
                failure.reason,
                failure.retry_after,
                failure.text,
                ids,
            )
        )
        return failure

    async def status(self, request_id: str, *, final: bool = False) -> Failed | None:
        """Read the state of a request and record it. Return the error, if there was one."""
        server, stub = self.any()
        began = time.time()
        try:
            call = pb.GetStatusRequest(request_id=request_id)
            answer = await stub.GetStatus(call, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return self.refused("GetStatus", server, began, error, request_id)
        self.history.add(observed(answer.request, began, final=final))
        return None


def observed(
    request: pb.ImageRequest, began: float, *, watch: int = 0, final: bool = False
) -> Observed:
    """Return the event of a state that was read between `began` and now."""
    state = pb.State.Name(request.state).removeprefix("STATE_")
    failure = ""
    if request.state == pb.STATE_FAILED:
        failure = pb.FailureCode.Name(request.failure.code).removeprefix("FAILURE_CODE_")
    return Observed(
        began,
        time.time(),
        request.request_id,
        watch,
        request.customer_id,
        request.url,
        state,
        request.revision,
        failure,
        request.image.image_id,
        request.image.public_url,
        request.image.metadata.sha256,
        request.image.metadata.source_sha256,
        final,
    )


@asynccontextmanager
async def callers(
    addresses: dict[str, str], history: History, rng: random.Random
) -> AsyncIterator[Callers]:
    """Open a channel to each server. `addresses` are by the server's name."""
    opened = Callers(history, rng)
    async with AsyncExitStack() as stack:
        for name, address in addresses.items():
            channel = grpc.aio.insecure_channel(address, options=_RECONNECT)
            await stack.enter_async_context(channel)
            opened.stubs[name] = image_service_pb2_grpc.ImageServiceStub(channel)
        yield opened

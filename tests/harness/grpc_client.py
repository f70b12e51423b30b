"""A gRPC client, and the details of its errors."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc


def outcome_name(request: pb.ImageRequest) -> str:
    """Return the failure code of a FAILED request, else the state, both without their prefix."""
    if request.state == pb.STATE_FAILED:
        return pb.FailureCode.Name(request.failure.code).removeprefix("FAILURE_CODE_")
    return pb.State.Name(request.state).removeprefix("STATE_")


@dataclass(frozen=True, slots=True)
class Refusal:
    """`reason` is empty if gRPC itself raised the error. `retry_after` is in seconds."""

    code: grpc.StatusCode
    reason: str
    fields: tuple[str, ...]
    retry_after: float | None


def refusal(error: grpc.aio.AioRpcError) -> Refusal:
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    delay = None
    for detail in _status(error).details:
        detail.Unpack(info)
        detail.Unpack(bad)
        if detail.Unpack(retry):
            delay = retry.retry_delay.ToTimedelta().total_seconds()
    fields = tuple(violation.field for violation in bad.field_violations)
    return Refusal(error.code(), info.reason, fields, delay)


def _status(error: grpc.aio.AioRpcError) -> Status:
    return rpc_status.from_call(error) or Status()  # type: ignore[arg-type]  # the stubs accept only calls


async def expect_refusal(call: Awaitable[object]) -> Refusal:
    """Return the error of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return refusal(raised.value)


@asynccontextmanager
async def connect(
    port: int, options: Sequence[tuple[str, int]] = ()
) -> "AsyncIterator[image_service_pb2_grpc.ImageServiceAsyncStub]":
    """Open a stub with its own connection to a port of this machine, which may not be open yet."""
    backoff = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 200)]
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{port}", options=[*backoff, *options]
    ) as channel:
        yield image_service_pb2_grpc.ImageServiceStub(channel)


def submit_request(
    request_id: str = "", url: str = "https://a.example/1", *, customer: str = "acme"
) -> pb.SubmitImageRequest:
    return pb.SubmitImageRequest(url=url, customer_id=customer, request_id=request_id)


async def states(
    call: "grpc.aio.UnaryStreamCall[pb.WatchRequestRequest, pb.WatchRequestResponse]", count: int
) -> dict[str, tuple[int, int]]:
    """Return state and revision by id from the next `count` messages of a watch."""
    got: dict[str, tuple[int, int]] = {}
    for _ in range(count):
        response = await call.read()
        assert isinstance(response, pb.WatchRequestResponse), "the stream ended too early"
        got[response.request.request_id] = (response.request.state, response.request.revision)
    return got


async def ended_ok(
    call: "grpc.aio.UnaryStreamCall[pb.WatchRequestRequest, pb.WatchRequestResponse]",
) -> bool:
    """Return whether the server has ended the stream without an error."""
    over = not isinstance(await call.read(), pb.WatchRequestResponse)
    return over and await call.code() is grpc.StatusCode.OK

"""The hand-written gRPC client of the submit benchmarks, against a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.bench.load.unary_caller import UnaryCaller, grpc_message, request_headers

METHOD = "/imageservice.v1.ImageService/SubmitImage"
REQUEST = pb.SubmitImageRequest(url="https://images.example/a.jpg", customer_id="acme")
Handler = Callable[[pb.SubmitImageRequest, Any], Awaitable[pb.SubmitImageResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        handler,
        request_deserializer=pb.SubmitImageRequest.FromString,
        response_serializer=pb.SubmitImageResponse.SerializeToString,
    )
    service = grpc.method_handlers_generic_handler(
        "imageservice.v1.ImageService", {"SubmitImage": method}
    )
    server.add_generic_rpc_handlers((service,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(
    port: int, in_flight: int
) -> "AsyncIterator[tuple[UnaryCaller, asyncio.Future[str]]]":
    loop = asyncio.get_running_loop()
    failure: asyncio.Future[str] = loop.create_future()

    def failed(reason: str) -> None:
        if not failure.done():
            failure.set_result(reason)

    headers = request_headers(METHOD, f"127.0.0.1:{port}")
    message = grpc_message(REQUEST.SerializeToString())
    caller = UnaryCaller(headers, message, in_flight, failed)
    transport, _ = await loop.create_connection(lambda: caller, "127.0.0.1", port)
    try:
        yield caller, failure
    finally:
        transport.close()


async def test_calls_are_answered_and_followed_by_others() -> None:
    """No more at once than asked for, each whole, and far more than a window of HTTP/2 would hold."""
    enough = asyncio.Event()
    seen = under_way = most = 0

    async def handler(request: pb.SubmitImageRequest, _: Any) -> pb.SubmitImageResponse:
        nonlocal seen, under_way, most
        assert request == REQUEST
        seen, under_way = seen + 1, under_way + 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        if seen >= 3_000:
            enough.set()
        return pb.SubmitImageResponse(request_id="1")

    async with serving(handler) as port, calling(port, 8) as (caller, failure):
        await enough.wait()
        assert not failure.done()
        assert 3_000 - 8 <= caller.answered <= seen
        assert most <= 8


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
async def test_an_error_is_no_answer(code: grpc.StatusCode) -> None:
    async def handler(_: pb.SubmitImageRequest, context: Any) -> pb.SubmitImageResponse:
        await context.abort(code, "no")
        return pb.SubmitImageResponse()

    async with serving(handler) as port, calling(port, 1) as (caller, failure):
        assert "ended with" in await failure
        assert caller.answered == 0


async def test_a_server_that_leaves_is_a_failure() -> None:
    async def handler(_: pb.SubmitImageRequest, __: Any) -> pb.SubmitImageResponse:
        return pb.SubmitImageResponse()

    async with serving(handler) as port:
        async with calling(port, 1) as (_, failure):
            pass
        assert "the connection ended" in await failure

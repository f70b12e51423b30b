"""The HTTP/2 client of the submit benchmarks, against a real gRPC server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from imageservice.v1 import image_service_pb2 as pb
from loadtest.bench.load.unary_client import UnaryClient, grpc_message, request_headers

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
async def connected(
    port: int, in_flight: int
) -> "AsyncIterator[tuple[UnaryClient, asyncio.Future[str]]]":
    loop = asyncio.get_running_loop()
    failure: asyncio.Future[str] = loop.create_future()

    def failed(reason: str) -> None:
        if not failure.done():
            failure.set_result(reason)

    headers = request_headers(METHOD, f"127.0.0.1:{port}")
    message = grpc_message(REQUEST.SerializeToString())
    client = UnaryClient(headers, message, in_flight, failed)
    transport, _ = await loop.create_connection(lambda: client, "127.0.0.1", port)
    try:
        yield client, failure
    finally:
        transport.close()


async def test_an_answered_call_is_followed_by_another() -> None:
    """At most `in_flight` at a time, each complete, and far more bytes than one HTTP/2 window."""
    enough = asyncio.Event()
    seen = in_flight = most = 0

    async def handler(request: pb.SubmitImageRequest, _: Any) -> pb.SubmitImageResponse:
        nonlocal seen, in_flight, most
        assert request == REQUEST
        seen, in_flight = seen + 1, in_flight + 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        if seen >= 3_000:
            enough.set()
        return pb.SubmitImageResponse(request_id="1")

    async with serving(handler) as port, connected(port, 8) as (client, failure):
        await enough.wait()
        assert not failure.done()
        assert 3_000 - 8 <= client.answered <= seen
        assert most <= 8


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
async def test_an_error_status_is_a_failure(code: grpc.StatusCode) -> None:
    async def handler(_: pb.SubmitImageRequest, context: Any) -> pb.SubmitImageResponse:
        await context.abort(code, "no")
        return pb.SubmitImageResponse()

    async with serving(handler) as port, connected(port, 1) as (client, failure):
        assert "ended with" in await failure
        assert client.answered == 0

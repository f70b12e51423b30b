"""Connections to AWS: what a service that misbehaves on one of them does to the next call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from core.aws import Aws
from harness.counterpart import Counterpart, aws_of

PATIENCE_S = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
BUSY = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n"
LARGE = b"\0" * (32 * 1024 * 1024)
"""More than the kernel takes on both sides of a connection that nobody reads."""

Serve = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def aws_at(serve: Serve) -> AsyncIterator[Aws]:
    """AWS as `serve` plays it; it is told the number of the connection, from 1."""
    connections = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await serve(connections, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        async with aws_of(Counterpart(url=f"http://{host}:{port}")) as aws:
            yield aws
    finally:
        server.close()


async def request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)


async def put(aws: Aws) -> None:
    await aws.wire.bucket("pics").put_object(
        "a.jpg", LARGE, sha256="0" * 64, content_type="image/jpeg", cache_control="public"
    )


async def send(aws: Aws) -> None:
    await aws.wire.sqs.invoke("SendMessageBatch", {})


async def test_an_early_answer_leaves_no_half_sent_body_before_the_next_call() -> None:
    """A 503 after the headers: the retry has a connection of its own."""

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if number == 1:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(BUSY)
            await asyncio.sleep(PATIENCE_S)
        await request(reader)
        writer.write(OK)

    async with asyncio.timeout(PATIENCE_S), aws_at(serve) as aws:
        await put(aws)


async def test_a_call_that_is_cancelled_sends_no_more() -> None:
    """What was not sent by then never is, however long the service is willing to read."""
    begun, cancelled = asyncio.Event(), asyncio.Event()
    received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def serve(
        _number: int, reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await cancelled.wait()
        count = 0
        try:
            while chunk := await reader.read(1_000_000):
                count += len(chunk)
        finally:
            received.set_result(count)

    async with asyncio.timeout(PATIENCE_S), aws_at(serve) as aws:
        storing = asyncio.create_task(put(aws))
        await begun.wait()
        storing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await storing
        cancelled.set()
        assert await received < len(LARGE)


async def test_an_answer_that_nobody_asked_for_is_nobodys() -> None:
    """A 408 on an idle connection is not taken for the next call's answer."""
    said = asyncio.Event()

    async def serve(
        number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await request(reader)
        writer.write(OK)
        if number == 1:
            writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            said.set()
            await asyncio.sleep(PATIENCE_S)

    async with asyncio.timeout(PATIENCE_S), aws_at(serve) as aws:
        await send(aws)
        await said.wait()
        await send(aws)

"""AWS as a function plays it on bare connections, for what goes wrong below HTTP."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from unittest.mock import patch

from core.aws.client import open_aws
from core.aws.http import Limits, Wire

PATIENCE_S = 30
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Serve = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The URL at which `serve` answers; it is told the number of the connection, from 1."""
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

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{'https' if tls else 'http'}://{host}:{port}"
    finally:
        server.close()


@asynccontextmanager
async def wire_of(url: str, limits: Limits) -> AsyncIterator[Wire]:
    """The short way to that URL, under limits of the test's own."""
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
    }
    with patch.dict("os.environ", environment):
        async with open_aws(limits) as aws:
            yield aws.wire


@asynccontextmanager
async def wire_at(serve: Serve, limits: Limits | None = None) -> AsyncIterator[Wire]:
    """The short way to `serve`."""
    async with listening(serve) as url, wire_of(url, limits or Limits()) as wire:
        yield wire


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read one whole request; answers its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head


async def until_hung_up(reader: asyncio.StreamReader) -> bytes:
    """Say nothing until the other side has gone; answers what it still said."""
    rest = bytearray()
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1_000_000):
            rest += chunk
    return bytes(rest)


async def put(wire: Wire, body: bytes) -> None:
    await wire.bucket("pics").put_object(
        "a.jpg", body, sha256="0" * 64, content_type="image/jpeg", cache_control="public"
    )


async def send(wire: Wire) -> None:
    await wire.sqs.invoke("SendMessageBatch", {})

"""A fake AWS that answers by script: `FakeAws` speaks HTTP, `listen` gives a test the TCP connections.

`FakeAws` is for comparing the system's client with the SDK. TCP connections are for faults below HTTP.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import aiohttp
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from core.aws.client import Aws, open_aws
from core.aws.http import AwsHttpClients, Limits
from harness.tables import aws_with

HANG_TIMEOUT_S = 60
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Call = Callable[[Aws], Awaitable[Any]]
Serve = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class FakeAnswer:
    """One response. With `cut`, the connection is closed without it."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class FakeAws:
    """Returns the responses of `script` in turn, then the last one for ever. Records the requests."""

    url: str = ""
    script: tuple[FakeAnswer, ...] = (FakeAnswer(),)
    requests: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        answer = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        self.bodies.append(await request.read())
        if answer.cut and request.transport is not None:
            request.transport.abort()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def restart(self, *script: FakeAnswer) -> None:
        """Replace the script and remove all recorded requests."""
        self.script = script
        self.requests.clear()
        self.bodies.clear()


@asynccontextmanager
async def run_fake_aws(fake_aws: FakeAws) -> AsyncIterator[None]:
    """Serve the fake on a free port of 127.0.0.1, and set its `url`."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake_aws.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    fake_aws.url = f"http://{host}:{port}"
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def aws_of(fake_aws: FakeAws) -> AsyncIterator[Aws]:
    """Open the clients of a process with this fake at every AWS endpoint."""
    async with aws_with({**_environment(fake_aws.url), "AWS_SESSION_TOKEN": "TOKEN"}) as opened:
        yield opened


async def outcome(call: Call, aws: Aws, fake_aws: FakeAws) -> tuple[Any, int]:
    """Return the result or error that the caller gets, and the number of tries.

    Errors are those that core.aws.client distinguishes: a code of AWS, or `unavailable`.
    """
    seen: Any
    try:
        seen = await call(aws)
        if isinstance(seen, dict):
            seen.pop("ResponseMetadata", None)
    except ClientError as error:
        seen = error.response["Error"]["Code"]
    except (BotoCoreError, aiohttp.ClientError, OSError):
        seen = "unavailable"
    return seen, len(fake_aws.requests)


@asynccontextmanager
async def listen(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Call `serve` for each connection, with its number from 1. Yield the URL."""
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
async def http_clients_of(url: str, limits: Limits) -> AsyncIterator[AwsHttpClients]:
    """Open the system's HTTP clients for this URL, with these limits."""
    with patch.dict("os.environ", _environment(url)):
        async with open_aws(limits) as aws:
            yield aws.http


@asynccontextmanager
async def http_clients_at(
    serve: Serve, limits: Limits | None = None
) -> AsyncIterator[AwsHttpClients]:
    """Open the system's HTTP clients for a server that calls `serve`."""
    async with listen(serve) as url, http_clients_of(url, limits or Limits()) as http:
        yield http


def _environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
    }


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read a complete request. Return its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head


async def read_until_closed(reader: asyncio.StreamReader) -> bytes:
    """Send nothing until the client closes the connection. Return the bytes that it sent."""
    rest = bytearray()
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1_000_000):
            rest += chunk
    return bytes(rest)


async def put(http: AwsHttpClients, body: bytes) -> None:
    await http.bucket("pics").put_object(
        "a.jpg", body, sha256="0" * 64, content_type="image/jpeg", cache_control="public"
    )


async def send(http: AwsHttpClients) -> dict[str, Any]:
    return await http.sqs.invoke("SendMessageBatch", {})

"""A fake AWS that answers by script: `FakeAws` speaks HTTP, `listening` hands out bare connections.

`FakeAws` is for comparing our own client with the SDK. Bare connections are for faults below HTTP.
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
    """One answer; `cut` breaks the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class FakeAws:
    """Gives the answers of `script` in turn, repeats the last one for ever, and records the requests."""

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
        """Replace the script and forget all requests."""
        self.script = script
        self.requests.clear()
        self.bodies.clear()


@asynccontextmanager
async def served(fake_aws: FakeAws) -> AsyncIterator[None]:
    """Serve it on a free port of 127.0.0.1; sets `url`."""
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
    """Open the clients of a process whose every AWS endpoint is this fake."""
    async with aws_with({**_environment(fake_aws.url), "AWS_SESSION_TOKEN": "TOKEN"}) as opened:
        yield opened


async def outcome(call: Call, aws: Aws, fake_aws: FakeAws) -> tuple[Any, int]:
    """Return what the caller sees, as far as core.aws.client distinguishes it, and the number of tries."""
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
async def listening(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Yield the URL at which `serve` gets each connection, with its number from 1."""
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
    """Open our own HTTP clients for that URL with the test's limits."""
    with patch.dict("os.environ", _environment(url)):
        async with open_aws(limits) as aws:
            yield aws.http


@asynccontextmanager
async def http_clients_at(
    serve: Serve, limits: Limits | None = None
) -> AsyncIterator[AwsHttpClients]:
    """Open our own HTTP clients for `serve`."""
    async with listening(serve) as url, http_clients_of(url, limits or Limits()) as http:
        yield http


def _environment(url: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
    }


async def request(reader: asyncio.StreamReader) -> bytes:
    """Read one whole request; return its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head


async def until_hung_up(reader: asyncio.StreamReader) -> bytes:
    """Send nothing until the client closes the connection; return what it still sent."""
    rest = bytearray()
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(1_000_000):
            rest += chunk
    return bytes(rest)


async def put(http: AwsHttpClients, body: bytes) -> None:
    await http.bucket("pics").put_object(
        "a.jpg", body, sha256="0" * 64, content_type="image/jpeg", cache_control="public"
    )


async def send(http: AwsHttpClients) -> None:
    await http.sqs.invoke("SendMessageBatch", {})

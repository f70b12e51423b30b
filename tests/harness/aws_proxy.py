"""A proxy between a process and the embedded AWS, through which a test injects faults."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

import aiohttp
from aiohttp import web

from harness.calls import Signed


class Forward(Protocol):
    """Sends the call to the target, with another body if there is one."""

    def __call__(self, body: bytes | None = None) -> Awaitable[web.Response]: ...


_HOP_HEADERS = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True, slots=True)
class ProxiedCall:
    """`operation` is the name in the API, such as SendMessageBatch; for S3 it is the HTTP method."""

    operation: str
    body: bytes
    service: str = ""
    """The signing name, such as dynamodb."""


Hook = Callable[[ProxiedCall, Forward], Awaitable[web.Response]]


class Unreachable(Exception):
    """Raised by a hook to close the connection without a response."""


async def pass_on(_call: ProxiedCall, forward: Forward) -> web.Response:
    return await forward()


async def cut(_call: ProxiedCall, _forward: Forward) -> web.Response:
    """Close every connection without a response."""
    raise Unreachable


class Outage:
    """Cuts every call, and counts the calls of each operation."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def hook(self, call: ProxiedCall, _forward: Forward) -> web.Response:
        self.calls[call.operation] += 1
        raise Unreachable


class AwsProxy:
    """Give `endpoint` to processes. `hook` handles each of their calls."""

    def __init__(self, target: str, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self.endpoint = ""
        self.hook: Hook = pass_on

    async def handle(self, request: web.Request) -> web.Response:
        sent = await request.read()

        async def forward(body: bytes | None = None) -> web.Response:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_HEADERS}
            async with self._session.request(
                request.method,
                self._target + request.raw_path,
                data=sent if body is None else body,
                headers=headers,
                skip_auto_headers=("Content-Type", "User-Agent", "Accept"),
            ) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_HEADERS}
                return web.Response(body=await answer.read(), status=answer.status, headers=kept)

        try:
            return await self.hook(_proxied_call(request, sent), forward)
        except Unreachable:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)


def _proxied_call(request: web.Request, body: bytes) -> ProxiedCall:
    signed = Signed.parse(request.headers.get("Authorization", ""))
    return ProxiedCall(_operation(request, body), body, signed.service if signed else "")


def _operation(request: web.Request, body: bytes) -> str:
    target = request.headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2]
    if request.content_type == "application/x-www-form-urlencoded":
        return parse_qs(body.decode())["Action"][0]
    return request.method


@asynccontextmanager
async def aws_proxy(target: str) -> AsyncIterator[AwsProxy]:
    async with aiohttp.ClientSession(
        auto_decompress=False, connector=aiohttp.TCPConnector(limit=0)
    ) as session:
        proxy = AwsProxy(target, session)
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        proxy.endpoint = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            await runner.cleanup()

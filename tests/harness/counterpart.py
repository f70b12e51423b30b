"""A service that answers by script, for what must do as the SDK does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from botocore.exceptions import BotoCoreError, ClientError

from core.aws.client import Aws
from harness.tables import aws_with

Call = Callable[[Aws], Awaitable[Any]]


@dataclass(frozen=True)
class Scripted:
    """One answer; `cut` breaks the connection instead."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Counterpart:
    """Answers by script, then with the last of it for ever, and writes down what it was asked."""

    url: str = ""
    script: tuple[Scripted, ...] = (Scripted(),)
    asked: list[web.Request] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        answer = self.script[min(len(self.asked), len(self.script) - 1)]
        self.asked.append(request)
        self.bodies.append(await request.read())
        if answer.cut and request.transport is not None:
            request.transport.abort()
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    def restart(self, *script: Scripted) -> None:
        self.script = script
        self.asked.clear()
        self.bodies.clear()


@asynccontextmanager
async def served(counterpart: Counterpart) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", counterpart.handle)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    counterpart.url = f"http://{host}:{port}"
    try:
        yield
    finally:
        await runner.cleanup()


@asynccontextmanager
async def aws_of(counterpart: Counterpart) -> AsyncIterator[Aws]:
    """What a process opens whose every endpoint is this counterpart."""
    environment = {
        "AWS_ENDPOINT_URL": counterpart.url,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKID",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "AWS_SESSION_TOKEN": "TOKEN",
    }
    async with aws_with(environment) as opened:
        yield opened


async def outcome(call: Call, aws: Aws, counterpart: Counterpart) -> tuple[Any, int]:
    """What the caller sees, as far as core.aws.client tells it apart, and the number of tries."""
    seen: Any
    try:
        seen = await call(aws)
        if isinstance(seen, dict):
            seen.pop("ResponseMetadata", None)
    except ClientError as error:
        seen = error.response["Error"]["Code"]
    except (BotoCoreError, aiohttp.ClientError, OSError):
        seen = "unavailable"
    return seen, len(counterpart.asked)

"""Origins of the scenarios: silent, slow, quick, and limited to a rate. Each counts its requests and connections."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from harness.origin import numbered_png

_FIRST_BYTE_OF_HOSTS = 127


def loopback_hosts(third: int, count: int) -> list[str]:
    """Return `count` loopback addresses 127.0.x.y, beginning at 127.0.`third`.1. Linux answers on all of them."""
    return [
        f"{_FIRST_BYTE_OF_HOSTS}.0.{third + number // 250}.{number % 250 + 1}"
        for number in range(count)
    ]


@dataclass(slots=True)
class SilentOrigin:
    """Accepts connections, reads requests and never answers."""

    port: int = 0
    open: int = 0
    most_open: int = 0
    connections: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait_open(self, count: int) -> None:
        """Wait until `count` connections are open."""
        while self.open < count:
            self.changed.clear()
            await self.changed.wait()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        self.changed.set()
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def silent_origin(hosts: Sequence[str]) -> AsyncIterator[SilentOrigin]:
    """Listen on one port of each of `hosts`."""
    origin = SilentOrigin()
    async with AsyncExitStack() as stack:
        for host in hosts:
            server = await asyncio.start_server(origin.handle, host, origin.port)
            origin.port = server.sockets[0].getsockname()[1]
            stack.callback(server.close)
        yield origin


@dataclass(slots=True)
class RatedOrigin:
    """Serves images after `delay` seconds, at most `rate` per second and host; 429 beyond. 0 is without limit.

    `retry_after` is the value of the header Retry-After of a 429, or None.
    """

    delay: float = 0
    rate: float = 0
    retry_after: str | None = None
    port: int = 0
    served: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at each request, so that a scenario can wait for a number of requests in flight."""
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.Response:
        host = request.host.partition(":")[0]
        if self.rate and not self._admit(host):
            self.refused[host] += 1
            headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            return web.Response(status=429, headers=headers)
        self.served[host] += 1
        self.in_flight += 1
        self.changed.set()
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.in_flight -= 1
        number = int(request.path.rpartition("/")[2])
        return web.Response(body=numbered_png(number), content_type="image/png")

    def _admit(self, host: str) -> bool:
        """Take a token of the host's bucket, which holds the tokens of one second."""
        now = time.monotonic()
        tokens, filled = self._tokens.get(host, (self.rate, now))
        tokens = min(self.rate, tokens + (now - filled) * self.rate)
        self._tokens[host] = (max(tokens - 1, 0.0) if tokens >= 1 else tokens, now)
        return tokens >= 1

    async def wait_in_flight(self, count: int) -> None:
        while self.in_flight < count:
            self.changed.clear()
            await self.changed.wait()


@asynccontextmanager
async def rated_origin(hosts: Sequence[str], origin: RatedOrigin) -> AsyncIterator[RatedOrigin]:
    """Serve images on one port of each of `hosts`."""
    app = web.Application()
    app.router.add_get("/{path:.*}", origin.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        for host in hosts:
            await web.TCPSite(runner, host, origin.port, backlog=1_024).start()
            origin.port = runner.addresses[0][1]
        yield origin
    finally:
        await runner.cleanup()

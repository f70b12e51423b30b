"""A TCP proxy that delays, resets or discards the bytes of connections, and a Redis behind one.

The service must give the same answers with Redis and without it.
"""

import asyncio
import random
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from harness.redis_server import redis_server

_CHUNK = 65_536
_LONGEST_DELAY_S = 1.0


class Link(StrEnum):
    """The state of the network between a program and a dependency."""

    GOOD = "good"
    SLOW = "slow"
    RESET = "reset"
    """All connections are reset, and new ones too."""
    SILENT = "silent"
    """Connections stay open, and nothing arrives."""


@dataclass(slots=True)
class TcpProxy:
    """Passes connections on to `port` of this machine."""

    target_port: int
    rng: random.Random
    port: int = 0
    link: Link = Link.GOOD
    changes: Counter[str] = field(default_factory=Counter)
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def set(self, link: Link) -> None:
        self.link = link
        self.changes[str(link)] += 1
        if link is Link.RESET:
            for writer in self._open:
                writer.transport.abort()

    async def disturb(self, interval_s: float) -> None:
        """Change the link from time to time, until cancelled; every second change makes it good."""
        try:
            while True:
                await asyncio.sleep(self.rng.uniform(0.5, 1.5) * interval_s)
                bad = (Link.SLOW, Link.RESET, Link.SILENT)
                self.set(self.rng.choice(bad) if self.link is Link.GOOD else Link.GOOD)
        finally:
            self.set(Link.GOOD)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.link is Link.RESET:
            writer.transport.abort()
            return
        try:
            target_reader, target_writer = await asyncio.open_connection(
                "127.0.0.1", self.target_port
            )
        except OSError:
            writer.transport.abort()
            return
        both = {writer, target_writer}
        self._open |= both
        try:
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, target_writer))
                pumps.create_task(self._pump(target_reader, writer))
        finally:
            self._open -= both

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes on in one direction until an end is closed."""
        try:
            while chunk := await reader.read(_CHUNK):
                if self.link is Link.SLOW:
                    await asyncio.sleep(self.rng.uniform(0, _LONGEST_DELAY_S))
                if self.link is Link.SILENT:
                    # The bytes are lost, so the connection is useless from now on, as after a partition.
                    continue
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def tcp_proxy(target_port: int, rng: random.Random) -> AsyncIterator[TcpProxy]:
    """Serve on a free port of 127.0.0.1."""
    proxy = TcpProxy(target_port, rng)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.set(Link.RESET)
        server.close()


@asynccontextmanager
async def redis_link(folder: Path, rng: random.Random) -> AsyncIterator[TcpProxy | None]:
    """Run a Redis and the way to it. Yield None if redis-server is not installed."""
    if shutil.which("redis-server") is None:
        sys.stderr.write("without Redis: redis-server is not installed\n")
        yield None
        return
    async with redis_server(folder) as server, tcp_proxy(server.port, rng) as proxy:
        yield proxy


def redis_settings(link: TcpProxy | None) -> dict[str, str]:
    """Return the settings of a process that uses Redis."""
    return {} if link is None else {"REDIS_URL": f"redis://127.0.0.1:{link.port}"}

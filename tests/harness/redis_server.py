"""A real Redis server that a test can kill, suspend and restart."""

import asyncio
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from cli.local.embedded_aws import HOST, free_port
from core.redis.connection import new_client
from core.redis.url import RedisUrl

_START_S = 60.0
_HANG_TIMEOUT_S = 60.0
_POLL_S = 0.02


def redis_program() -> str:
    """Return the path of redis-server. Raises UsageError if it is not installed."""
    found = shutil.which("redis-server")
    if found is None:
        raise pytest.UsageError("redis-server is not installed: apt-get install redis-server")
    return found


def long_timeout_client(url: str) -> "Redis":
    """Return a client with timeouts for a busy machine."""
    return new_client(RedisUrl.parse(url), socket_timeout=10, connect_timeout=10)


@dataclass(slots=True)
class RedisServer:
    """It stores nothing on disk, so a killed server has lost all data."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def client(self) -> "Redis":
        """A new client; close it."""
        return long_timeout_client(self.url)

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            await asyncio.to_thread(redis_program),
            *("--port", str(self.port), "--bind", HOST, "--dir", str(self.folder)),
            *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
            stdout=DEVNULL,
        )
        async with asyncio.timeout(_START_S), self.client as client:
            while not await _answers(client):
                assert self.process.returncode is None, "redis-server ended"
                await asyncio.sleep(_POLL_S)

    async def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def hang(self) -> None:
        """Suspend it: its connections stay open, and it does not answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    async def subscribers(self, channel: str) -> int:
        async with self.client as client:
            ((_, count),) = await client.pubsub_numsub(channel)
            return int(count)

    async def wait_subscribers(self, channel: str, count: int) -> None:
        """Wait until `count` processes have subscribed to a channel."""

        async def reached() -> bool:
            return await self.subscribers(channel) >= count

        await _until(reached)

    async def wait_keys(self, count: int) -> None:
        """Wait until it has `count` keys. A server does not wait for its own writes."""

        async def reached() -> bool:
            return len(await self.documents()) >= count

        await _until(reached)

    async def documents(self) -> dict[str, bytes | str | None]:
        async with self.client as client:
            keys: list[Any] = await client.keys()
            return {key.decode(): await client.get(key) for key in keys}

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)


async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_HANG_TIMEOUT_S):
        while not await condition():  # noqa: ASYNC110  another process changes it
            await asyncio.sleep(_POLL_S)


async def _answers(client: "Redis") -> bool:
    with suppress(RedisError, OSError):
        return bool(await client.ping())
    return False


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(folder)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()

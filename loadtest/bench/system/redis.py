"""A Redis of a benchmark's own, on a free port; it writes nothing to disk."""

import asyncio
import shutil
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from redis.asyncio import Redis
from redis.exceptions import RedisError

from loadtest.bench.system.process import HOST, READY_S, BenchFailed, free_port

_POLL_S = 0.05


@asynccontextmanager
async def redis() -> AsyncIterator[str]:
    """Its URL. Raises BenchFailed."""
    program = shutil.which("redis-server")
    if program is None:
        raise BenchFailed("redis-server is not installed: apt-get install redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *(program, "--port", str(port), "--bind", HOST, "--dir", folder),
            *("--save", "", "--appendonly", "no"),
            stdout=DEVNULL,
        )
        try:
            url = f"redis://{HOST}:{port}"
            await _answers(url)
            yield url
        finally:
            process.terminate()
            await process.wait()


async def _answers(url: str) -> None:
    async with asyncio.timeout(READY_S), Redis.from_url(url) as client:
        while True:
            with suppress(RedisError, OSError):
                await client.ping()
                return
            await asyncio.sleep(_POLL_S)

"""Redis and OpenSearch for a benchmark."""

import asyncio
import os
import shutil
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

import core
from loadtest.bench.system.process import (
    HOST,
    READY_S,
    BenchFailed,
    free_port,
    ready_file,
    running,
)

_POLL_S = 0.05
_TESTS = str(Path(core.__file__).parents[1] / "tests")
"""The test code of this clone starts OpenSearch."""
_STARTER = "cluster.readside"


@asynccontextmanager
async def redis() -> AsyncIterator[str]:
    """Start redis-server on a free port, without persistence, and yield its URL. Raises BenchFailed."""
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
            await _until_answering(url)
            yield url
        finally:
            process.terminate()
            await process.wait()


async def _until_answering(url: str) -> None:
    async with asyncio.timeout(READY_S), Redis.from_url(url) as client:
        while True:
            with suppress(RedisError, OSError):
                await client.ping()
                return
            await asyncio.sleep(_POLL_S)


@asynccontextmanager
async def search_engine(heap: str) -> AsyncIterator[str]:
    """Yield the URL of the OpenSearch of SEARCH_URL, or of a new one. Raises BenchFailed.

    `heap` is the heap size of a new one, in the notation of Java.
    """
    given = os.environ.get("SEARCH_URL", "")
    if given:
        if not given.startswith("http"):
            raise BenchFailed(f"SEARCH_URL must be the URL of an OpenSearch, not {given}")
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ready.json"
        environment = {"PYTHONPATH": _TESTS}
        arguments = ("--ready-file", str(path), "--heap", heap)
        async with running(_STARTER, *arguments, environment=environment) as process:
            url: str = (await ready_file(process, path))["url"]
            yield url

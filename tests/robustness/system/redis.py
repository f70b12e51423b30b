"""Redis behind a proxy that can cut it off. The service must give the same answers with it and without it."""

import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harness.redis_server import redis_server
from robustness.faults.tcp import TcpProxy, tcp_proxy


@asynccontextmanager
async def redis_link(folder: Path, rng: random.Random) -> AsyncIterator[TcpProxy | None]:
    """Run a Redis and the way to it. Yield None if redis-server is not installed."""
    if shutil.which("redis-server") is None:
        yield None
        return
    async with redis_server(folder) as server, tcp_proxy(server.port, rng) as proxy:
        yield proxy


def redis_settings(link: TcpProxy | None) -> dict[str, str]:
    """Return the settings of a process that uses Redis."""
    return {} if link is None else {"REDIS_URL": f"redis://127.0.0.1:{link.port}"}

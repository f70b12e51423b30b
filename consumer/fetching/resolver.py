"""Looking up hosts in threads of their own."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

_THREADS = 32


class PooledResolver(AbstractResolver):
    """The system's resolver in its own pool.

    Strangers choose the names, and a look-up that hangs cannot be interrupted: in the loop's
    default pool, or in uvloop's of four threads, a few of them would stop everything else.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises socket.gaierror, an OSError."""
        infos = await asyncio.get_running_loop().run_in_executor(
            self._pool, socket.getaddrinfo, host, port, family, socket.SOCK_STREAM
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found, _, protocol, _, address in infos
        ]

    async def close(self) -> None:
        """Leave running look-ups to end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

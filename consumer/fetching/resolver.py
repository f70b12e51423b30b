"""DNS lookups in a thread pool of their own."""

import asyncio
import socket
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from aiohttp.abc import AbstractResolver, ResolveResult

from consumer.fetching.host_visitor import HostBusy

THREADS = 512
"""Most of them sleep. A lookup that hangs lasts several times longer than the fetch that needs it."""

THREADS_PER_DOMAIN = 128
"""Twice the default concurrency of a worker: only lookups that hang reach it."""


class PooledResolver(AbstractResolver):
    """The system's resolver in a pool without a queue: no lookup waits for another.

    Untrusted users choose the names, and a lookup that hangs cannot be interrupted. In the loop's default pool, or in
    uvloop's of four threads, a few of them would stop everything else. In a queue, a lookup would time out because of
    other names. So a lookup that finds no free thread raises HostBusy at once. The names below one domain cost their
    owner nothing, so a domain gets only a part of the threads.
    """

    def __init__(self, *, threads: int = THREADS, per_domain: int = THREADS_PER_DOMAIN) -> None:
        self._threads = threads
        self._per_domain = per_domain
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dns")
        self._in_use: Counter[str] = Counter()
        self._lock = Lock()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Look up a host. Raises socket.gaierror, an OSError, and HostBusy if no thread is free."""
        return await asyncio.wrap_future(self._look_up(host, port, family))

    async def close(self) -> None:
        """Shut the pool down without waiting for lookups that still run."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> Future[list[ResolveResult]]:
        domain = _domain(host)
        self._reserve_thread(domain)
        try:
            future = self._pool.submit(_getaddrinfo, host, port, family)
        except RuntimeError:  # the system grants the process no further thread
            self._release_thread(domain)
            raise HostBusy(reason="dns_busy") from None
        # Release when the future ends, not its awaiter: a cancelled fetch has not freed the thread.
        future.add_done_callback(lambda _: self._release_thread(domain))
        return future

    def _reserve_thread(self, domain: str) -> None:
        with self._lock:
            if self._in_use.total() >= self._threads or self._in_use[domain] >= self._per_domain:
                raise HostBusy(reason="dns_busy")
            self._in_use[domain] += 1

    def _release_thread(self, domain: str) -> None:
        with self._lock:
            self._in_use[domain] -= 1
            if not self._in_use[domain]:
                del self._in_use[domain]


def _domain(host: str) -> str:
    """Return the last two labels. For suffixes such as co.uk, unrelated names share one limit."""
    return ".".join(host.removesuffix(".").lower().rsplit(".", 2)[-2:])


def _getaddrinfo(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname=host,
            host=str(address[0]),
            port=port,
            family=found,
            proto=protocol,
            flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
        )
        for found, _, protocol, _, address in socket.getaddrinfo(
            host, port, family, socket.SOCK_STREAM
        )
    ]

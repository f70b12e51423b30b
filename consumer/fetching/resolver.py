"""Looking up hosts in threads of their own."""

import asyncio
import socket
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from aiohttp.abc import AbstractResolver, ResolveResult

from consumer.fetching.host_limiter import HostBusy

THREADS = 512
"""They sleep. A hanging look-up outlives the fetch that wanted it several times over."""

THREADS_PER_DOMAIN = 128
"""Twice what a worker fetches at a time by default: it takes look-ups that hang to reach it."""


class PooledResolver(AbstractResolver):
    """The system's resolver in its own pool, in which no look-up waits for another.

    Strangers choose the names, and a look-up that hangs cannot be interrupted: in the loop's
    default pool, or in uvloop's of four threads, a few of them would stop everything else. A queue
    would let those who wait in it time out for others' names; so whoever finds no thread is busy
    at once. One domain's names, which cost their owner nothing, get only a part of the threads.
    """

    def __init__(self, *, threads: int = THREADS, per_domain: int = THREADS_PER_DOMAIN) -> None:
        self._threads = threads
        self._per_domain = per_domain
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dns")
        self._held: Counter[str] = Counter()
        self._lock = Lock()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises socket.gaierror, an OSError, and HostBusy when no thread is free."""
        return await asyncio.wrap_future(self._look_up(host, port, family))

    async def close(self) -> None:
        """Leave running look-ups to end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> Future[list[ResolveResult]]:
        domain = _domain(host)
        self._hold(domain)
        try:
            found = self._pool.submit(_ask_system, host, port, family)
        except RuntimeError:  # the system grants the process no further thread
            self._let_go(domain)
            raise HostBusy from None
        # The future's end, not its awaiter's: a fetch that gave up has not freed the thread.
        found.add_done_callback(lambda _: self._let_go(domain))
        return found

    def _hold(self, domain: str) -> None:
        with self._lock:
            if self._held.total() >= self._threads or self._held[domain] >= self._per_domain:
                raise HostBusy
            self._held[domain] += 1

    def _let_go(self, domain: str) -> None:
        with self._lock:
            self._held[domain] -= 1
            if not self._held[domain]:
                del self._held[domain]


def _domain(host: str) -> str:
    """Two labels: coarser than registrable for a few suffixes, which only share a larger part."""
    return ".".join(host.removesuffix(".").lower().rsplit(".", 2)[-2:])


def _ask_system(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
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

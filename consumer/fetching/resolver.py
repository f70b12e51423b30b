"""DNS lookups in a thread pool of their own."""

import asyncio
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from aiohttp.abc import AbstractResolver, ResolveResult

from consumer.fetching.connect_guard import current_customer
from consumer.fetching.limits.host_customer import HostBusy
from core.resilience.fair_share import FairShare

THREADS = 512
"""Most of them sleep. A lookup that hangs lasts several times longer than the fetch that needs it."""

THREADS_PER_DOMAIN = 128
"""Twice the default concurrency of a worker: only lookups that hang reach it."""

_RESERVE_PART = 8


class PooledResolver(AbstractResolver):
    """The system's resolver in a pool without a queue: no lookup waits for another.

    Untrusted users choose the names, and a lookup that hangs cannot be interrupted. In the loop's default pool, or in
    uvloop's of four threads, a few of them would stop everything else. In a queue, a lookup would time out because of
    other names. So a lookup that finds no free thread raises HostBusy at once. The names below one domain cost their
    owner nothing, so a domain gets only a part of the threads. Others may have names below the same domain, for example
    co.uk. So customers share the threads of a domain fairly, and all threads too.
    """

    def __init__(self, *, threads: int = THREADS, per_domain: int = THREADS_PER_DOMAIN) -> None:
        reserve = threads // _RESERVE_PART
        self._shares = FairShare(threads - reserve, reserve=reserve)
        self._per_domain = per_domain
        self._by_domain: dict[str, FairShare] = {}
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="dns")
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
        domain, customer_id = _domain(host), current_customer()
        self._reserve_thread(domain, customer_id)
        try:
            future = self._pool.submit(_getaddrinfo, host, port, family)
        except RuntimeError:  # the system grants the process no further thread
            self._release_thread(domain, customer_id)
            raise HostBusy(reason="dns_busy") from None
        # Release when the future ends, not its awaiter: a cancelled fetch has not freed the thread.
        future.add_done_callback(lambda _: self._release_thread(domain, customer_id))
        return future

    def _reserve_thread(self, domain: str, customer_id: str) -> None:
        with self._lock:
            of_domain = self._by_domain.get(domain) or FairShare(self._per_domain)
            if not (of_domain.admits(customer_id) and self._shares.take(customer_id)):
                raise HostBusy(reason="dns_busy")
            of_domain.hold(customer_id)
            self._by_domain[domain] = of_domain

    def _release_thread(self, domain: str, customer_id: str) -> None:
        with self._lock:
            self._shares.release(customer_id)
            of_domain = self._by_domain[domain]
            of_domain.release(customer_id)
            if not of_domain.total:
                del self._by_domain[domain]


def _domain(host: str) -> str:
    """Return the last two labels."""
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

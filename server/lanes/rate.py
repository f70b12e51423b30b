"""The rate of interactive messages of each customer, over all servers with Redis, else in this process.

A submit never waits for Redis. A server leases permits of the customer's shared bucket in the background, a quarter of
the burst at once, and uses up to as many in advance, which the next lease pays back. So the servers together exceed the
burst by at most a quarter for each of them, and the rate not at all.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.lru_map import LruMap
from core.redis.completed_requests import CompletedRequestStore
from core.redis.connection import RedisUnavailable
from core.redis.shared_rate import SharedRate
from core.resilience.token_buckets import MAX_KEYS, TokenBuckets
from server.settings import ServerSettings

LEASES_PER_BURST = 4
_MAX_LEASES = 64
"""Calls to Redis in progress. Further customers use their advance meanwhile."""
_RETRY_S = 0.25
"""Shortest time between two leases of a customer whose bucket was empty: four calls per second and customer at most."""
_FALLBACK_S = 1.0
"""After a failed call, this process limits on its own for this time. Redis may be up and reject every write."""


@dataclass(slots=True)
class Lease:
    """The permits that this server has of one customer, negative if it used some in advance. Pure."""

    chunk: int
    permits: int = 0
    leasing: bool = False
    empty_until: float = 0.0
    """Until then the shared bucket counts as empty: it had fewer permits than the last lease wanted."""

    def take(self, now: float) -> bool:
        """Take one permit, in advance unless the shared bucket counts as empty. Returns False if there is none."""
        if self.permits <= (0 if now < self.empty_until else -self.chunk):
            return False
        self.permits -= 1
        return True

    def due(self, now: float) -> bool:
        """Return whether to lease permits now."""
        return self.permits <= 0 and not self.leasing and now >= self.empty_until

    @property
    def wanted(self) -> int:
        """The permits to lease: those that were used in advance, and the next ones."""
        return self.chunk - self.permits

    def grant(self, granted: int, wanted: int, retry_at: float) -> None:
        """Add the permits of a lease. If it got fewer than wanted, the next one is at `retry_at`."""
        self.permits += granted
        if granted < wanted:
            self.empty_until = retry_at


class InteractiveRate:
    """A token bucket for each customer: `rate` is in requests per second.

    `shared` is None without Redis. Then this process limits on its own, so several allow a multiple of the rate.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        shared: SharedRate | None = None,
        max_customers: int = MAX_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._rate = rate
        self._burst = burst
        self._local = TokenBuckets(rate, burst, max_keys=max_customers, clock=clock)
        self._clock = clock
        self._chunk = max(1, burst // LEASES_PER_BURST)
        self._leases = LruMap[str, Lease](max_customers)
        self._calls: set[asyncio.Task[None]] = set()
        self._local_until = 0.0

    def take(self, customer_id: str) -> bool:
        """Take one permit; return False if the customer has none. It never waits."""
        shared = self._shared
        if shared is None or not shared.connection.available:
            return self._local.take(customer_id)
        now = self._clock()
        if now < self._local_until:
            return self._local.take(customer_id)
        lease = self._lease_of(customer_id)
        taken = lease.take(now)
        if lease.due(now) and len(self._calls) < _MAX_LEASES:
            lease.leasing = True
            call = asyncio.create_task(
                self._renew(shared, customer_id, lease), name="lease permits"
            )
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        return taken

    async def close(self) -> None:
        """End the calls in progress."""
        for call in self._calls:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    def _lease_of(self, customer_id: str) -> Lease:
        lease = self._leases.get(customer_id)
        if lease is None:
            lease = Lease(self._chunk)
            self._leases.put(customer_id, lease)
        return lease

    async def _renew(self, shared: SharedRate, customer_id: str, lease: Lease) -> None:
        wanted = min(lease.wanted, self._burst)
        try:
            granted = await shared.take(_key(customer_id), wanted, self._rate, self._burst)
        except RedisUnavailable:
            self._local_until = self._clock() + _FALLBACK_S
        else:
            lease.grant(granted, wanted, self._clock() + max(_RETRY_S, 1 / self._rate))
        finally:
            lease.leasing = False


def open_rate(settings: ServerSettings, store: CompletedRequestStore | None) -> InteractiveRate:
    """Share the connection of `store`, which is None without REDIS_URL."""
    shared = None if store is None else SharedRate(store.connection, settings.requests_table)
    return InteractiveRate(settings.interactive_rate, settings.interactive_burst, shared=shared)


def _key(customer_id: str) -> str:
    """Return the name of the customer's bucket, which does not contain the customer's id."""
    return "interactive:" + hashlib.blake2b(customer_id.encode(), digest_size=12).hexdigest()

"""Limits the requests to each host: how many at the same time, and how many per second if the host limits that.

A host that refuses a customer's requests (429, or 503 with Retry-After) gets no more of them than it accepts, and none
while it is closed. If it does not answer them, it gets one of them at a time, a probe. Requests wait here for a short
time, or come back later.
"""

import asyncio
from collections import OrderedDict
from hashlib import blake2b

from consumer.fetching.limits.host_condition import Answer
from consumer.fetching.limits.host_customer import HostBusy, HostCustomer
from consumer.slot_limiter import Slot, SlotLimiter, SlotsTaken
from core.errors import ImageFailure
from core.redis.shared_limits import RENEW_S, SHARE_S, Demand, SharedLimits
from core.runtime.loop_bound import LoopBound

_ASKS_PER_RENEWAL = 8
"""How often hosts without a slot ask for some, and hosts without a request give theirs back."""
MAX_IDLE_CUSTOMERS = 4_096
"""Customers of hosts that are kept without a current request."""


class _Host:
    """The slots of one host, and the customers with requests to it, or of which something is known."""

    __slots__ = ("customers", "slots")

    def __init__(self, slots: SlotLimiter) -> None:
        self.slots = slots
        self.customers: dict[str, HostCustomer] = {}


class HostLimiter(LoopBound):
    """At most `limit` concurrent requests to each host, as SlotLimiter does, and as many as the host accepts.

    A customer of a host is kept while it has a request that holds or awaits a slot, and after that until its last
    deferred request has come back, at most MAX_IDLE_CUSTOMERS of them. Beyond that the one that has been idle longest
    is forgotten; its requests then come back early, and its rate is learned again.
    """

    def __init__(self, limit: int, *, max_wait: float, shared: SharedLimits | None = None) -> None:
        """`max_wait` is in seconds: a slow host must not fill the worker with waiting requests.

        shared: limits of all processes together; then `renew_forever` must run.
        """
        self._limit = limit
        self._max_wait = max_wait
        self._shared = shared
        self._hosts: dict[str, _Host] = {}
        self._with_share: set[str] = set()
        """Hosts of which a share was taken and not given back."""
        self._idle: OrderedDict[tuple[str, str], HostCustomer] = OrderedDict()
        """By name of the host and customer; the one that has been idle longest comes first."""

    def __len__(self) -> int:
        """Count hosts with a slot that is held or awaited."""
        return sum(any(each.requests for each in host.customers.values()) for host in self._known())

    @property
    def idle_customers(self) -> int:
        return len(self._idle)

    @property
    def rate_limited(self) -> int:
        """Count hosts with a learned rate. Another thread may call this, and `hung`."""
        return sum(
            any(each.condition.rate.limited for each in tuple(host.customers.values()))
            for host in self._known()
        )

    @property
    def hung(self) -> int:
        """Count hosts that do not answer the requests of a customer."""
        return sum(
            any(each.condition.hung for each in tuple(host.customers.values()))
            for host in self._known()
        )

    def take(self, name: str, customer_id: str = "") -> Slot | None:
        """Take a slot if nothing restricts the host and one is free; `release` returns it."""
        host, customer = self._begin_request(name, customer_id)
        slot = None
        if not (
            customer.condition.restricted
            or (self._shared is not None and self._loop.time() >= customer.shared_until)
        ):
            slot = host.slots.take(customer_id)
        if slot is None:
            self._end_request(name, host, customer)
        return slot

    async def acquire(self, name: str, customer_id: str = "") -> Slot:
        """Take a slot; `release` returns it. Raises HostBusy, at once or after the longest wait."""
        host, customer = self._begin_request(name, customer_id)
        try:
            if self._shared is not None and self._loop.time() >= customer.shared_until:
                await self._share(name, host, customer, self._shared)
            return await self._acquire(host, customer)
        except BaseException as error:
            self._end_request(name, host, customer)
            if isinstance(error, SlotsTaken) and not isinstance(error, HostBusy):
                raise customer.busy(error.wait) from None
            raise

    def release(
        self, slot: Slot, answer: Answer = Answer.ACCEPTED, failure: ImageFailure | None = None
    ) -> None:
        """Return a slot, or pass it to a waiting request. `failure` is that of the request."""
        host = self._hosts[slot.kind]
        customer = host.customers[slot.customer_id]
        probe = customer.probe is slot
        if probe:
            customer.probe = None
        customer.condition.record(answer, sent_at=slot.acquired_at, failure=failure, probe=probe)
        host.slots.release(slot, served=answer is not Answer.UNSENT)
        self._end_request(slot.kind, host, customer)

    def defer_refused(self, name: str, customer_id: str = "") -> HostBusy:
        """Return the error of a fetch that the host has refused and that does not wait here."""
        host = self._hosts.get(name)
        customer = None if host is None else host.customers.get(customer_id)
        if customer is None:
            return HostBusy(reason="host_refused", refused=True)
        return customer.defer(refused=True)

    async def renew_forever(self, shared: SharedLimits) -> None:
        """Renew the shares of all hosts that have requests, and give those of the others back, until cancelled."""
        rates: set[str] = set()
        while True:
            await self._wait_to_renew(shared)
            current = self._current()
            keys = {_rate_key(name, customer) for name, _, customer in current}
            ended = [Demand(key, 0, 0, 0) for key in rates - keys]
            rates = keys
            await asyncio.gather(
                *(self._share(*visit, shared) for visit in current), *map(shared.share, ended)
            )

    async def _wait_to_renew(self, shared: SharedLimits) -> None:
        """Sleep for RENEW_S. Meanwhile a host without requests gives its slots back, and one without a slot asks again.

        Requests that wait for a slot, here or in other processes, do so only for a short time.
        """
        for _ in range(_ASKS_PER_RENEWAL):
            await asyncio.sleep(RENEW_S / _ASKS_PER_RENEWAL)
            current = self._current()
            names = {name for name, _, _ in current}
            ended = [Demand(name, 0, 0, 0) for name in self._with_share - names]
            self._with_share &= names
            starved = [visit for visit in current if not visit[1].slots.limit]
            await asyncio.gather(
                *(self._share(*visit, shared) for visit in starved), *map(shared.share, ended)
            )

    def _current(self) -> list[tuple[str, _Host, HostCustomer]]:
        """Return the customers that have requests."""
        return [
            (name, host, customer)
            for name, host in self._hosts.items()
            for customer in host.customers.values()
            if customer.requests
        ]

    async def _share(
        self, name: str, host: _Host, customer: HostCustomer, shared: SharedLimits
    ) -> None:
        """Report the demand, and take the share. Concurrent calls for a customer are one."""
        if customer.sharing is None:
            customer.sharing = self._loop.create_task(self._report(name, host, customer, shared))
        customer.requests += 1  # It must not be forgotten before its share is used.
        try:
            await asyncio.shield(customer.sharing)
        finally:
            self._end_request(name, host, customer)

    async def _report(
        self, name: str, host: _Host, customer: HostCustomer, shared: SharedLimits
    ) -> None:
        """Slots are those of the host, a rate is that of one customer."""
        rate = customer.condition.rate
        closed = max(0.0, rate.closed_until - self._loop.time())
        limit = rate.limit if rate.limited else 0
        self._with_share.add(name)
        try:
            slots, rates = await asyncio.gather(
                shared.share(Demand(name, self._limit, 0, 0)),
                shared.share(Demand(_rate_key(name, customer), 0, limit, closed)),
            )
            now = self._loop.time()
            customer.shared_until = now + SHARE_S - RENEW_S
            host.slots.resize(self._limit if slots is None else slots.slots)
            if rates is not None:
                peers, peers_rate = rates.limited_peers, rates.peers_rate
                rate.share(now, peers=peers, peers_rate=peers_rate, closed=rates.closed)
        finally:
            customer.sharing = None
            self._keep_or_forget(name, host, customer)

    async def _acquire(self, host: _Host, customer: HostCustomer) -> Slot:
        condition, customer_id = customer.condition, customer.customer_id
        while not condition.hung:
            if condition.rate.limited:
                await customer.pace(max_wait=self._max_wait, limit=self._limit)
            epoch = condition.rate.epoch
            slot = await host.slots.acquire(customer_id, customer.schedule)
            if condition.rate.epoch == epoch and not condition.hung:
                return slot
            # The host has refused a request, or was found to hang, while this one waited.
            host.slots.release(slot, served=False)
        if customer.probe is not None or not condition.may_probe():
            raise customer.defer()
        slot = customer.probe = await host.slots.acquire(customer_id, customer.schedule)
        return slot

    def _begin_request(self, name: str, customer_id: str) -> tuple[_Host, HostCustomer]:
        host = self._hosts.get(name)
        if host is None:
            slots = SlotLimiter(name, self._limit, max_wait=self._max_wait, loop=self._loop)
            host = self._hosts[name] = _Host(slots)
        customer = host.customers.get(customer_id)
        if customer is None:
            customer = host.customers[customer_id] = HostCustomer(customer_id, self._loop.time)
        elif not customer.requests:
            self._idle.pop((name, customer_id), None)
        customer.requests += 1
        return host, customer

    def _end_request(self, name: str, host: _Host, customer: HostCustomer) -> None:
        customer.requests -= 1
        self._keep_or_forget(name, host, customer)

    def _keep_or_forget(self, name: str, host: _Host, customer: HostCustomer) -> None:
        if not customer.is_idle or host.customers.get(customer.customer_id) is not customer:
            return
        now = self._loop.time()
        self._idle.pop((name, customer.customer_id), None)
        while self._idle:
            oldest, idle = next(iter(self._idle.items()))
            if len(self._idle) < MAX_IDLE_CUSTOMERS and idle.is_kept(now):
                break
            self._forget(*oldest)
        if customer.is_kept(now):
            self._idle[name, customer.customer_id] = customer
        else:
            self._forget(name, customer.customer_id)

    def _forget(self, name: str, customer_id: str) -> None:
        self._idle.pop((name, customer_id), None)
        host = self._hosts[name]
        del host.customers[customer_id]
        if not host.customers:
            del self._hosts[name]

    def _known(self) -> tuple[_Host, ...]:
        return tuple(self._hosts.values())


def _rate_key(name: str, customer: HostCustomer) -> str:
    """Return the key of a rate among those of hosts, without the customer's id. No name of a host has a space."""
    digest = blake2b(customer.customer_id.encode(), digest_size=12).hexdigest()
    return f"{name} {digest}"

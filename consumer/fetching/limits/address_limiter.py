"""Limits the requests that wait for the first answer of one address, so that an address that hangs holds few slots.

Names cost nothing, so a limit for each host does not protect an address, nor our slots: a customer may submit URLs of
thousands of names that lead to one address. An address that answers is not limited, because content delivery networks
serve thousands of hosts from one. An IPv6 address stands for its /64, which belongs to one owner (RFC 6177).
"""

import asyncio
import contextlib
import errno
import math
from collections import Counter, OrderedDict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from consumer.fetching.limits.host_customer import RETURN_INTERVAL_S, HostBusy
from consumer.slot_limiter import RetrySchedule
from core.errors import Timeout
from core.lru_map import LruMap
from core.runtime.loop_bound import LoopBound

SILENCE_S = 5.0
"""An address from which no answer has come for this time, although a request waits, hangs."""
MAX_IDLE_ADDRESSES = 4_096
"""Addresses that are kept without a request that waits."""
_MAX_STEPS = 8
_MOST = 3
"""Limits together, with the visits of customers below their share."""
_MAX_CUSTOMERS = 64
"""Customers of an address of which a time-out, or the time when deferred requests come back, is kept."""
_FIRST_ANSWER_S = 1.0
"""Requests over the limit of a new address wait so long for its first answer, counted from its first request."""

Address = IPv4Address | IPv6Address


class AddressBusy(OSError):
    """The address gets no further connection now. aiohttp treats it as a failed connection, and tries the next address.

    `busy` is the error for the fetch. `answered` is set when a new address answers for the first time, which may be
    awaited for `patience` seconds.
    """

    def __init__(self, busy: HostBusy, answered: asyncio.Event, patience: float) -> None:
        super().__init__(errno.EAGAIN, "too many requests wait for this address")
        self.busy = busy
        self.answered = answered
        self.patience = patience

    async def wait_for_answer(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                await self.answered.wait()


class _Customer:
    """A customer whose requests an address keeps back. failing_since: its first time-out since the last answer."""

    __slots__ = ("failing_since", "schedule")

    def __init__(self) -> None:
        self.schedule = RetrySchedule()
        self.failing_since = math.inf


class _State:
    """One address. `waiting` are the visits without an answer, the oldest first. Times are of the loop's clock."""

    __slots__ = ("answered", "answered_at", "customers", "silent_since", "timed_out", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[Visit, None] = {}
        self.answered_at = -math.inf
        self.silent_since = math.inf
        """Begin of the first request after the last answer."""
        self.timed_out = False
        """Whether a request timed out since the last answer."""
        self.answered = asyncio.Event()
        self.customers = LruMap[str, _Customer](_MAX_CUSTOMERS)

    @property
    def is_new(self) -> bool:
        return self.answered_at == -math.inf

    def hangs(self, now: float) -> bool:
        if self.timed_out:
            return True
        oldest = next(iter(self.waiting), None)
        return oldest is not None and now - max(oldest.began_at, self.answered_at) >= SILENCE_S

    def customer(self, customer_id: str) -> _Customer:
        customer = self.customers.get(customer_id)
        if customer is None:
            customer = _Customer()
            self.customers.put(customer_id, customer)
        return customer

    def is_below_share(self, customer_id: str, limit: int) -> bool:
        customers = Counter(visit.customer_id for visit in self.waiting)
        own = customers[customer_id]
        share = max(1, limit // (len(customers) + (not own)))
        return own < share


@dataclass(eq=False, slots=True)
class Visit:
    """A request of a customer that connects to an address, since `began_at`."""

    address: int
    customer_id: str
    began_at: float
    state: _State


class AddressLimiter(LoopBound):
    """At most `limit` requests wait for an answer of an address that hangs, and twice as many of one that is new.

    A customer below its share of these visits gets one on top, because another customer's requests may be the reason
    why the address seems to hang. So there are up to three times as many in all.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._states: OrderedDict[int, _State] = OrderedDict()

    def __len__(self) -> int:
        return len(self._states)

    @property
    def hanging(self) -> int:
        """Count the addresses that hang. Another thread may call this."""
        return sum(state.timed_out for state in tuple(self._states.values()))

    def enter(self, address: Address, customer_id: str = "") -> Visit:
        """Count a request that is about to connect; `answer` or `leave` ends it. Raises AddressBusy."""
        now = self._loop.time()
        key = int(address) >> 64 if isinstance(address, IPv6Address) else int(address)
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _State()
            self._drop_oldest()
        else:
            self._states.move_to_end(key)
        self._check_limit(state, customer_id, now)
        visit = Visit(key, customer_id, now, state)
        state.waiting[visit] = None
        state.silent_since = min(state.silent_since, now)
        return visit

    def answer(self, visit: Visit) -> None:
        """Record that the first answer to a visit has arrived."""
        state = visit.state
        state.waiting.pop(visit, None)
        state.answered_at = self._loop.time()
        state.silent_since = math.inf
        state.timed_out = False
        state.answered.set()
        for customer in state.customers.values():
            customer.failing_since = math.inf

    def leave(self, visit: Visit, *, timed_out: bool) -> None:
        """End a visit. Does nothing if its answer was recorded."""
        state = visit.state
        if visit not in state.waiting:
            return
        del state.waiting[visit]
        if timed_out and state.answered_at < visit.began_at:
            state.timed_out = True
            customer = state.customer(visit.customer_id)
            customer.failing_since = min(customer.failing_since, visit.began_at)
        elif state.is_new and not state.waiting and not state.timed_out:
            self._states.pop(visit.address, None)

    def _check_limit(self, state: _State, customer_id: str, now: float) -> None:
        """Raises AddressBusy."""
        hangs = state.hangs(now)
        if not hangs and not state.is_new:
            return
        limit = self._limit if hangs else 2 * self._limit
        waiting = len(state.waiting)
        if waiting < limit:
            return
        if waiting < _MOST * self._limit and state.is_below_share(customer_id, limit):
            return
        if hangs:
            raise AddressBusy(self._hung(state, customer_id, now), state.answered, 0.0)
        patience = max(0.0, state.silent_since + _FIRST_ANSWER_S - now)
        busy = HostBusy(_return_in(state, customer_id, now), reason="address_new")
        raise AddressBusy(busy, state.answered, patience)

    def _hung(self, state: _State, customer_id: str, now: float) -> HostBusy:
        """Return the error for a request. It has a failure if a request of the same customer timed out."""
        wait = _return_in(state, customer_id, now)
        failing_s = now - state.customer(customer_id).failing_since
        if failing_s < 0:
            return HostBusy(wait, reason="address_hung")
        return HostBusy(wait, reason="address_hung", failure=Timeout(), failing_s=failing_s)

    def _drop_oldest(self) -> None:
        for _ in range(_MAX_STEPS):
            if len(self._states) <= MAX_IDLE_ADDRESSES:
                return
            key, state = next(iter(self._states.items()))
            if state.waiting:
                self._states.move_to_end(key)
            else:
                del self._states[key]


def _return_in(state: _State, customer_id: str, now: float) -> float:
    return state.customer(customer_id).schedule.next(now, RETURN_INTERVAL_S)

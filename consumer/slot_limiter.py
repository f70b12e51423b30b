"""Limits how much work of one kind runs at the same time, and schedules the return of what is deferred (GCRA)."""

import asyncio
import contextlib
import random
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass

from core.errors import ImageServiceError
from core.model.message import MAX_DELAY_S
from core.runtime.deadline import Deadline
from core.runtime.loop_bound import LoopBound

MIN_WAIT_S = 4.0
"""A shorter wait would cost more messages than it saves time."""
JITTER_S = 4.0
"""Random addition to each wait, so that the schedules of many processes do not synchronise."""
MAX_WAIT_S = MAX_DELAY_S - JITTER_S
"""The latest slot that is handed out: SQS delays a message by 900 s at most."""

_RESERVE_PART = 4
"""Of the slots, which one customer alone does not get while another one wants some."""
_WANTED_S = 60.0
"""Seconds for which a customer whose work was deferred counts as one that wants slots. It comes back before."""

_SHORT_WAIT_S = 0.5
_WEIGHT = 0.2
_MIN_SERVICE_TIME_S = 0.001


class RetrySchedule:
    """Computes retry times for deferred work. Pure.

    This is a leaky bucket by virtual scheduling (GCRA: ITU-T I.371, annex A): one time for each deferral, at an
    interval. So deferred work comes back one after another, and not all at once. Times are seconds of one clock.
    """

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = 0.0

    def next(self, now: float, interval: float, *, wait: float = MIN_WAIT_S) -> float:
        """Take the next retry time, and return the seconds until then: at least `wait`, and MIN_WAIT_S.

        interval: seconds from this time to the next one.
        Returns MAX_WAIT_S without taking a time if every time before that is taken. The work
        gets a time when it comes back.
        """
        at = max(now + max(wait, MIN_WAIT_S), self._next)
        if at - now >= MAX_WAIT_S:
            return MAX_WAIT_S
        self._next = at + interval
        return at - now

    def pending(self, now: float) -> bool:
        """Return whether a time that was taken is still in the future."""
        return self._next > now


class ServiceTime:
    """Estimates how long a slot is held, as the moving average over the last five or so. Pure. Times are in seconds.

    age: mean time for which the current slots have been held. It counts if it exceeds the average, so that a host
    that hangs is known before its first request times out.
    """

    __slots__ = ("_average",)

    def __init__(self) -> None:
        self._average: float | None = None

    def record(self, seconds: float) -> None:
        """Record how long a slot was held."""
        before = seconds if self._average is None else self._average
        self._average = before + _WEIGHT * (seconds - before)

    def estimate(self, age: float) -> float:
        """Return the expected time, at least 1 ms."""
        return max(self._average or 0.0, age, _MIN_SERVICE_TIME_S)

    def max_waiting(self, limit: int, age: float) -> int:
        """Return how many may wait in the process for `limit` slots: as many, or half a second's worth if more.

        So a short list of images on a fast host is not deferred, and a slow host does not fill the process.
        """
        return max(limit, int(_SHORT_WAIT_S * limit / self.estimate(age)))


class SlotsTaken(ImageServiceError):
    """All slots are taken, and enough work waits for them. Nothing was begun, so no attempt is spent.

    `retry_after` is in seconds, 4 to 900: the time until the next slot, with jitter so that work that is deferred
    together comes back apart.
    """

    def __init__(self, message: str, wait: float = MIN_WAIT_S) -> None:
        """`wait` is in seconds. MAX_WAIT_S is shortened by up to a quarter; less is extended by JITTER_S."""
        super().__init__(message)
        self.wait = wait
        if wait >= MAX_WAIT_S:
            self.retry_after = random.uniform(0.75, 1) * MAX_DELAY_S  # noqa: S311  spreads load, no secret
        else:
            self.retry_after = wait + random.uniform(0, JITTER_S)  # noqa: S311  as above


@dataclass(eq=False, slots=True)
class Slot:
    """A slot for one kind of work of a customer, held since `acquired_at`, in seconds of the loop's clock."""

    kind: str
    customer_id: str
    acquired_at: float


class SlotLimiter(LoopBound):
    """At most `limit` slots at the same time for one kind of work.

    A few may wait here (see ServiceTime.max_waiting), because waiting work occupies the worker. Each customer has a
    part of these places. A slot goes to the customer that holds the fewest. So no customer waits for the backlog of
    another one. While others want slots, a customer gets three quarters of them at most: it may hold each for long, and
    take it again at once. All other work is deferred at once, with a retry time. Retry times follow the rate at which
    slots are returned, so most deferred work finds a free slot when it comes back. Work that loses its slot to a
    newcomer gets another time; the number of its losses does not matter. Each slot serves one piece of work, so the
    backlog shrinks, and all is served unless newcomers exceed the rate for ever.
    """

    def __init__(
        self,
        kind: str,
        limit: int,
        *,
        max_wait: float,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`max_wait` is in seconds: slow work must not fill the worker with what waits for it."""
        if loop is not None:
            self._loop = loop
        self._kind = kind
        self.limit = limit
        """`resize` changes it."""
        self._reserve = _reserve_of(limit)
        self._max_wait = max_wait
        self._held: set[Slot] = set()
        """Includes slots that were granted to a task that has not run yet."""
        self._waiting: OrderedDict[str, deque[asyncio.Future[Slot]]] = OrderedDict()
        """By customer. The customer that was granted a slot last comes last."""
        self._service_time = ServiceTime()
        self._schedule = RetrySchedule()
        self._deferred: OrderedDict[str, float] = OrderedDict()
        """The last two customers whose work was deferred, and when."""

    @property
    def is_free(self) -> bool:
        """Whether a slot is free."""
        return len(self._held) < self.limit

    def is_free_for(self, customer_id: str) -> bool:
        """Return whether `acquire` would not wait."""
        free = self.limit - len(self._held)
        if free <= 0 or free > self._reserve:
            return free > 0
        held = sum(slot.customer_id == customer_id for slot in self._held)
        return held < self.limit - self._reserve or not self._has_others(customer_id)

    def take(self, customer_id: str = "") -> Slot | None:
        """Take a slot if one is free; `release` returns it."""
        if not self.is_free_for(customer_id):
            return None
        return self._grant(customer_id, self._loop.time())

    async def acquire(self, customer_id: str = "", schedule: RetrySchedule | None = None) -> Slot:
        """Take a slot; `release` returns it. Raises SlotsTaken, at once or after `max_wait`.

        schedule: the retry times of the customer, by default those of all.
        """
        if slot := self.take(customer_id):
            return slot
        now = self._loop.time()
        schedule = schedule or self._schedule
        if not self._may_wait(customer_id, now):
            raise self._defer(customer_id, schedule)
        granted: asyncio.Future[Slot] = self._loop.create_future()
        self._waiting.setdefault(customer_id, deque()).append(granted)
        try:
            with Deadline(self._max_wait):
                return await granted
        except (TimeoutError, asyncio.CancelledError) as end:
            if granted.cancelled():
                self._remove(customer_id, granted)
            else:  # granted, but cancelled before it could be used
                self.release(granted.result(), served=False)
            if isinstance(end, TimeoutError):
                raise self._defer(customer_id, schedule) from None
            raise

    def release(self, slot: Slot, *, served: bool = True) -> None:
        """Return a slot, or pass it to one that waits.

        served: whether the work was done. Otherwise the time is no measure of it.
        """
        now = self._loop.time()
        self._held.remove(slot)
        if served:
            self._service_time.record(now - slot.acquired_at)
        if self._waiting:
            self._grant_waiting(now)

    def resize(self, limit: int) -> None:
        """Change the number of slots. Slots that are held above it stay until their work ends."""
        self.limit = limit
        self._reserve = _reserve_of(limit)
        self._grant_waiting(self._loop.time())

    def _has_others(self, customer_id: str) -> bool:
        """Return whether another customer holds slots, waits for some, or has wanted some a short time ago."""
        since = self._loop.time() - _WANTED_S
        return (
            any(other != customer_id for other in self._waiting)
            or any(slot.customer_id != customer_id for slot in self._held)
            or any(at >= since for other, at in self._deferred.items() if other != customer_id)
        )

    def _may_wait(self, customer_id: str, now: float) -> bool:
        """Return whether the customer has a place to wait. One is left for each customer that has none."""
        places = self._service_time.max_waiting(max(1, self.limit), self._age(now))
        if sum(map(len, self._waiting.values())) < places:
            return True
        own = len(self._waiting.get(customer_id, ()))
        customers = len(self._waiting) + (not own)
        return own < max(1, places // customers) and customers <= places

    def _remove(self, customer_id: str, granted: asyncio.Future[Slot]) -> None:
        waiting = self._waiting.get(customer_id)
        if waiting is None:
            return
        with contextlib.suppress(ValueError):  # `release` may have removed it
            waiting.remove(granted)
        if not waiting:
            del self._waiting[customer_id]

    def _grant_waiting(self, now: float) -> None:
        while self._waiting and self.is_free:
            customer_id = self._next_customer()
            if not self.is_free_for(customer_id):
                return
            waiting = self._waiting[customer_id]
            granted = waiting.popleft()
            if waiting:
                self._waiting.move_to_end(customer_id)
            else:
                del self._waiting[customer_id]
            if not granted.done():
                granted.set_result(self._grant(customer_id, now))

    def _next_customer(self) -> str:
        """Return the waiting customer that holds the fewest slots, the one that waits longest for its turn if equal."""
        if len(self._waiting) == 1:
            return next(iter(self._waiting))
        held = Counter(slot.customer_id for slot in self._held)
        return min(self._waiting, key=held.__getitem__)

    def _grant(self, customer_id: str, now: float) -> Slot:
        slot = Slot(self._kind, customer_id, now)
        self._held.add(slot)
        return slot

    def _defer(self, customer_id: str, schedule: RetrySchedule) -> SlotsTaken:
        now = self._loop.time()
        self._deferred[customer_id] = now
        self._deferred.move_to_end(customer_id)
        if len(self._deferred) > 2:  # noqa: PLR2004  one of them is another than any given one
            self._deferred.popitem(last=False)
        customers = len({slot.customer_id for slot in self._held})
        interval = self._service_time.estimate(self._age(now)) * customers / max(1, self.limit)
        return SlotsTaken(f"all slots are taken: {self._kind}", schedule.next(now, interval))

    def _age(self, now: float) -> float:
        """Return the mean seconds for which the current slots have been held."""
        if not self._held:
            return 0.0
        return sum(now - slot.acquired_at for slot in self._held) / len(self._held)


def _reserve_of(limit: int) -> int:
    """Return the slots that one customer does not get while another one wants some."""
    return max(limit // _RESERVE_PART, int(limit > 1))

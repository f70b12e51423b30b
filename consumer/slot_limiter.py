"""Limits how much work of one kind runs at the same time, and schedules the return of what is deferred (GCRA)."""

import asyncio
import contextlib
import random
from collections import deque
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

_SHORT_WAIT_S = 0.5
_WEIGHT = 0.2
_MIN_SERVICE_TIME_S = 0.001


class RetrySchedule:
    """Computes retry times for work that was deferred because all slots are taken. Pure.

    This is a leaky bucket by virtual scheduling (GCRA: ITU-T I.371, annex A): one slot for each deferral, at
    the rate at which slots are returned. So deferred work comes back one after another, and not all at once. `limit` is
    the number of slots. Times are seconds of one clock.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._average: float | None = None
        self._next = 0.0

    def resize(self, limit: int) -> None:
        """Change the number of slots; a schedule has one at least."""
        self._limit = max(1, limit)

    def record(self, seconds: float) -> None:
        """Record how long a slot was held. Moving average over the last five or so."""
        before = seconds if self._average is None else self._average
        self._average = before + _WEIGHT * (seconds - before)

    def service_time(self, age: float) -> float:
        """Estimate the seconds for which a slot is held.

        age: mean seconds for which the current ones have been held. It counts if it exceeds the average, so that a host
        that hangs is known before its first request times out.
        """
        return max(self._average or 0.0, age, _MIN_SERVICE_TIME_S)

    def max_waiting(self, age: float) -> int:
        """Return how many may wait in the process: the limit, or half a second's worth if more.

        So a short list of images on a fast host is not deferred, and a slow host does not fill the process.
        """
        return max(self._limit, int(_SHORT_WAIT_S * self._limit / self.service_time(age)))

    def next_slot(self, now: float, age: float) -> float:
        """Take the next slot, and return the seconds until it begins, at least MIN_WAIT_S.

        Returns MAX_WAIT_S without taking a slot if every slot before that time is taken. The work
        gets a slot when it comes back.
        """
        return self.next_slot_after(now, MIN_WAIT_S, self.service_time(age) / self._limit)

    def next_slot_after(self, now: float, wait: float, interval: float) -> float:
        """Take the next slot after at least `wait` seconds, as `next_slot` does.

        interval: seconds from this slot to the next one, for work that something else than our slots keeps back.
        """
        at = max(now + max(wait, MIN_WAIT_S), self._next)
        if at - now >= MAX_WAIT_S:
            return MAX_WAIT_S
        self._next = at + interval
        return at - now

    def pending(self, now: float) -> bool:
        """Return whether a slot that was taken is still in the future."""
        return self._next > now


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


@dataclass(eq=False, frozen=True, slots=True)
class Slot:
    """A slot for one kind of work, held since `acquired_at`, in seconds of the loop's clock."""

    kind: str
    acquired_at: float


class SlotLimiter(LoopBound):
    """At most `limit` slots at the same time for one kind of work, first come, first served.

    A few may wait here (see RetrySchedule.max_waiting), because waiting work occupies the worker. The next one is
    deferred at once, with a retry time. Retry times follow the rate at which slots are returned, so most deferred work
    finds a free slot when it comes back. Work that loses its slot to a newcomer gets another one; the number of its
    losses does not matter. Each slot serves one piece of work, so the backlog shrinks, and all is served unless
    newcomers exceed the rate for ever.
    """

    def __init__(
        self,
        kind: str,
        limit: int,
        *,
        max_wait: float,
        schedule: RetrySchedule | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """`max_wait` is in seconds: slow work must not fill the worker with what waits for it."""
        if loop is not None:
            self._loop = loop
        self._kind = kind
        self._limit = limit
        self._max_wait = max_wait
        self._held: set[Slot] = set()
        """Includes slots that were granted to a task that has not run yet."""
        self._waiting: deque[asyncio.Future[Slot]] = deque()
        self.schedule = schedule or RetrySchedule(limit)

    @property
    def is_free(self) -> bool:
        """Whether `acquire` would not wait."""
        return len(self._held) < self._limit

    @property
    def is_idle(self) -> bool:
        """Whether no slot is held or awaited."""
        return not (self._held or self._waiting)

    async def acquire(self) -> Slot:
        """Take a slot; `release` returns it. Raises SlotsTaken, at once or after `max_wait`."""
        now = self._loop.time()
        if self.is_free:
            return self._grant(now)
        if len(self._waiting) >= self.schedule.max_waiting(self._age(now)):
            raise self._defer()
        granted: asyncio.Future[Slot] = self._loop.create_future()
        self._waiting.append(granted)
        try:
            with Deadline(self._max_wait):
                return await granted
        except (TimeoutError, asyncio.CancelledError) as end:
            if granted.cancelled():
                with contextlib.suppress(ValueError):  # `release` may have removed it
                    self._waiting.remove(granted)
            else:  # granted, but cancelled before it could be used
                self.release(granted.result(), served=False)
            if isinstance(end, TimeoutError):
                raise self._defer() from None
            raise

    def release(self, slot: Slot, *, served: bool = True) -> None:
        """Return a slot, or pass it to the first that waits.

        served: whether the work was done. Otherwise the time is no measure of it.
        """
        now = self._loop.time()
        self._held.remove(slot)
        if served:
            self.schedule.record(now - slot.acquired_at)
        self._grant_waiting(now)

    def resize(self, limit: int) -> None:
        """Change the number of slots. Those that are held above it are returned by and by."""
        self._limit = limit
        self.schedule.resize(limit)
        self._grant_waiting(self._loop.time())

    def _grant_waiting(self, now: float) -> None:
        while self._waiting and self.is_free:
            granted = self._waiting.popleft()
            if not granted.done():
                granted.set_result(self._grant(now))

    def _grant(self, now: float) -> Slot:
        slot = Slot(self._kind, now)
        self._held.add(slot)
        return slot

    def _defer(self) -> SlotsTaken:
        now = self._loop.time()
        return SlotsTaken(
            f"all slots are taken: {self._kind}", self.schedule.next_slot(now, self._age(now))
        )

    def _age(self, now: float) -> float:
        """Return the mean seconds for which the current slots have been held."""
        if not self._held:
            return 0.0
        return sum(now - slot.acquired_at for slot in self._held) / len(self._held)

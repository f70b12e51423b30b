"""Limits the concurrent requests to each host, and schedules retries for a busy host (GCRA)."""

import asyncio
import contextlib
import random
from collections import OrderedDict, deque
from dataclasses import dataclass, field

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
MAX_SCHEDULES = 4_096
"""Schedules that are kept for hosts without a current request."""

_SHORT_WAIT_S = 0.5
_WEIGHT = 0.2
_MIN_SERVICE_TIME_S = 0.001


class HostSchedule:
    """Computes retry times for requests that were deferred because their host is at its limit. Pure.

    This is a leaky bucket by virtual scheduling (GCRA: ITU-T I.371, annex A): one slot per request, at
    the rate at which the host serves requests. So deferred requests come back one after another, and
    not all at once. `limit` is the number of concurrent requests. Times are seconds of one clock.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._average: float | None = None
        self._next = 0.0

    def record(self, seconds: float) -> None:
        """Record how long a request held its slot. Moving average over the last five or so."""
        before = seconds if self._average is None else self._average
        self._average = before + _WEIGHT * (seconds - before)

    def service_time(self, age: float) -> float:
        """Estimate the seconds for which a request holds a slot.

        age: mean age of the current requests in seconds. It counts if it exceeds the average, so that
        a host that hangs is known before its first request times out.
        """
        return max(self._average or 0.0, age, _MIN_SERVICE_TIME_S)

    def max_waiting(self, age: float) -> int:
        """Return how many requests may wait in the process: the limit, or half a second's worth if more.

        So a short list of images on a fast host is not deferred, and a slow host does not fill the process.
        """
        return max(self._limit, int(_SHORT_WAIT_S * self._limit / self.service_time(age)))

    def next_slot(self, now: float, age: float) -> float:
        """Take the next slot, and return the seconds until it begins, at least MIN_WAIT_S.

        Returns MAX_WAIT_S without taking a slot if every slot before that time is taken. The request
        gets a slot when it comes back.
        """
        at = max(now + MIN_WAIT_S, self._next)
        if at - now >= MAX_WAIT_S:
            return MAX_WAIT_S
        self._next = at + self.service_time(age) / self._limit
        return at - now

    def pending(self, now: float) -> bool:
        """Return whether a slot that was taken is still in the future."""
        return self._next > now


class HostBusy(ImageServiceError):
    """The host is at its request limit, or no thread is free to look up its name.

    No request was sent, so no attempt is spent. `retry_after` is in seconds, 4 to 900: the time until
    the host's next slot, with jitter so that requests deferred together come back apart.
    """

    def __init__(self, wait: float = MIN_WAIT_S) -> None:
        """`wait` is in seconds. MAX_WAIT_S is shortened by up to a quarter; less is extended by JITTER_S."""
        super().__init__("too many requests to this host, or lookups, are in progress")
        if wait >= MAX_WAIT_S:
            self.retry_after = random.uniform(0.75, 1) * MAX_DELAY_S  # noqa: S311  spreads load, no secret
        else:
            self.retry_after = wait + random.uniform(0, JITTER_S)  # noqa: S311  as above


@dataclass(eq=False, frozen=True, slots=True)
class Slot:
    """One of a host's slots, held since `acquired_at`, in seconds of the loop's clock."""

    host: str
    acquired_at: float


@dataclass(slots=True)
class _Host:
    """`held` includes slots that were granted to a task that has not run yet."""

    schedule: HostSchedule
    held: set[Slot] = field(default_factory=set)
    waiting: deque[asyncio.Future[Slot]] = field(default_factory=deque)

    def age(self, now: float) -> float:
        """Return the mean seconds for which the current slots have been held."""
        return (
            sum(now - slot.acquired_at for slot in self.held) / len(self.held) if self.held else 0.0
        )


class HostLimiter(LoopBound):
    """At most `limit` concurrent requests to each host, first come, first served.

    A few requests may wait here (see HostSchedule.max_waiting), because waiting requests occupy the worker. The next
    one is deferred at once, with a retry time from the host's schedule. Retry times follow the rate at which the host
    serves requests, so most deferred requests find a free slot when they come back. A request that loses its slot to a
    newcomer gets another one; the number of its losses does not matter. Each slot serves one request, so the backlog
    shrinks, and each request is served unless newcomers exceed the host's rate for ever.

    A host is kept while a request holds or awaits one of its slots. Its schedule is kept until its last
    slot has passed, at most MAX_SCHEDULES of them. Beyond that the schedule that has been idle longest is
    dropped; its requests then come back early, without other harm.
    """

    def __init__(self, limit: int, *, max_wait: float) -> None:
        """`max_wait` is in seconds: a slow host must not fill the worker with waiting requests."""
        self._limit = limit
        self._max_wait = max_wait
        self._hosts: dict[str, _Host] = {}
        self._idle_schedules: OrderedDict[str, HostSchedule] = OrderedDict()

    def __len__(self) -> int:
        """Count hosts with a slot that is held or awaited."""
        return len(self._hosts)

    @property
    def idle_schedules(self) -> int:
        return len(self._idle_schedules)

    def is_free(self, host: str) -> bool:
        """Return whether `acquire` would not wait."""
        entry = self._hosts.get(host)
        return entry is None or len(entry.held) < self._limit

    async def acquire(self, host: str) -> Slot:
        """Take a slot; `release` returns it. Raises HostBusy, at once or after `max_wait`."""
        entry, now = self._entry(host), self._loop.time()
        if len(entry.held) < self._limit:
            return _grant(entry, host, now)
        if len(entry.waiting) >= entry.schedule.max_waiting(entry.age(now)):
            raise self._defer(host)
        granted: asyncio.Future[Slot] = self._loop.create_future()
        entry.waiting.append(granted)
        try:
            with Deadline(self._max_wait):
                return await granted
        except (TimeoutError, asyncio.CancelledError) as end:
            if granted.cancelled():
                with contextlib.suppress(ValueError):  # `release` may have removed it
                    entry.waiting.remove(granted)
                self._forget_if_idle(host)
            else:  # granted, but cancelled before it could be used
                self.release(granted.result(), served=False)
            if isinstance(end, TimeoutError):
                raise self._defer(host) from None
            raise

    def release(self, slot: Slot, *, served: bool = True) -> None:
        """Return a slot, or pass it to the first waiting request.

        served: whether a request was sent. Otherwise the time is no measure of the host.
        """
        entry, now = self._hosts[slot.host], self._loop.time()
        entry.held.remove(slot)
        if served:
            entry.schedule.record(now - slot.acquired_at)
        while entry.waiting:
            granted = entry.waiting.popleft()
            if not granted.done():
                granted.set_result(_grant(entry, slot.host, now))
                return
        self._forget_if_idle(slot.host)

    def _entry(self, host: str) -> _Host:
        entry = self._hosts.get(host)
        if entry is None:
            schedule = self._idle_schedules.pop(host, None) or HostSchedule(self._limit)
            entry = self._hosts[host] = _Host(schedule)
        return entry

    def _defer(self, host: str) -> HostBusy:
        entry, now = self._entry(host), self._loop.time()
        wait = entry.schedule.next_slot(now, entry.age(now))
        self._forget_if_idle(host)
        return HostBusy(wait)

    def _forget_if_idle(self, host: str) -> None:
        entry = self._hosts.get(host)
        if entry is None or entry.held or entry.waiting:
            return
        del self._hosts[host]
        now = self._loop.time()
        while self._idle_schedules and not next(iter(self._idle_schedules.values())).pending(now):
            self._idle_schedules.popitem(last=False)
        if entry.schedule.pending(now):
            self._idle_schedules[host] = entry.schedule
            if len(self._idle_schedules) > MAX_SCHEDULES:
                self._idle_schedules.popitem(last=False)


def _grant(entry: _Host, host: str, now: float) -> Slot:
    slot = Slot(host, now)
    entry.held.add(slot)
    return slot

"""Limits the concurrent requests to each host, and keeps the schedules of busy hosts."""

from collections import OrderedDict

from consumer.slot_limiter import MIN_WAIT_S, RetrySchedule, Slot, SlotLimiter, SlotsTaken
from core.runtime.loop_bound import LoopBound

MAX_SCHEDULES = 4_096
"""Schedules that are kept for hosts without a current request."""


class HostBusy(SlotsTaken):
    """The host is at its request limit, or no thread is free to look up its name. No request was sent."""

    def __init__(self, wait: float = MIN_WAIT_S) -> None:
        super().__init__("too many requests to this host, or lookups, are in progress", wait)


class HostLimiter(LoopBound):
    """At most `limit` concurrent requests to each host, as SlotLimiter does.

    A host is kept while a request holds or awaits one of its slots. Its schedule is kept until its last
    slot has passed, at most MAX_SCHEDULES of them. Beyond that the schedule that has been idle longest is
    dropped; its requests then come back early, without other harm.
    """

    def __init__(self, limit: int, *, max_wait: float) -> None:
        """`max_wait` is in seconds: a slow host must not fill the worker with waiting requests."""
        self._limit = limit
        self._max_wait = max_wait
        self._hosts: dict[str, SlotLimiter] = {}
        self._idle_schedules: OrderedDict[str, RetrySchedule] = OrderedDict()

    def __len__(self) -> int:
        """Count hosts with a slot that is held or awaited."""
        return len(self._hosts)

    @property
    def idle_schedules(self) -> int:
        return len(self._idle_schedules)

    def is_free(self, host: str) -> bool:
        """Return whether `acquire` would not wait."""
        limiter = self._hosts.get(host)
        return limiter is None or limiter.is_free

    async def acquire(self, host: str) -> Slot:
        """Take a slot; `release` returns it. Raises HostBusy, at once or after `max_wait`."""
        limiter = self._hosts.get(host)
        if limiter is None:
            schedule = self._idle_schedules.pop(host, None)
            limiter = SlotLimiter(
                host, self._limit, max_wait=self._max_wait, schedule=schedule, loop=self._loop
            )
            self._hosts[host] = limiter
        try:
            return await limiter.acquire()
        except SlotsTaken as taken:
            raise HostBusy(taken.wait) from None
        finally:
            self._forget_if_idle(host, limiter)

    def release(self, slot: Slot, *, served: bool = True) -> None:
        """Return a slot, or pass it to the first waiting request.

        served: whether a request was sent. Otherwise the time is no measure of the host.
        """
        limiter = self._hosts[slot.kind]
        limiter.release(slot, served=served)
        self._forget_if_idle(slot.kind, limiter)

    def _forget_if_idle(self, host: str, limiter: SlotLimiter) -> None:
        if not limiter.is_idle or self._hosts.get(host) is not limiter:
            return
        del self._hosts[host]
        now = self._loop.time()
        while self._idle_schedules and not next(iter(self._idle_schedules.values())).pending(now):
            self._idle_schedules.popitem(last=False)
        if limiter.schedule.pending(now):
            self._idle_schedules[host] = limiter.schedule
            if len(self._idle_schedules) > MAX_SCHEDULES:
                self._idle_schedules.popitem(last=False)

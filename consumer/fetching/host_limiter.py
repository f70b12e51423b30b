"""Limits the requests to each host: how many at the same time, and how many per second if the host limits that.

A host that refuses requests (429, or 503 with Retry-After) gets no more than it accepts, and none while it is closed. A
host that does not answer gets one request at a time, a probe. Requests wait here for a short time, or come back later.
"""

import asyncio
import math
from collections import OrderedDict
from typing import Literal

from consumer.fetching.host_condition import Answer, HostCondition
from consumer.slot_limiter import (
    MIN_WAIT_S,
    Slot,
    SlotLimiter,
    SlotsTaken,
)
from core.errors import ImageFailure
from core.redis.shared_limits import RENEW_S, SHARE_S, Demand, SharedLimits
from core.runtime.loop_bound import LoopBound

MAX_IDLE_HOSTS = 4_096
"""Hosts that are kept without a current request."""

RETURN_INTERVAL_S = 0.1
_OPTIMISM = 1.2
"""Requests over a learned rate come back somewhat faster than it, and every RETURN_INTERVAL_S at least. So the host is
used fully if it accepts more than was learned. Those that come too early are deferred again."""


BusyReason = Literal[
    "host_busy", "host_hung", "host_rate", "host_refused", "address_hung", "address_new"
]
"""Host: its slots are taken, it does not answer, its rate is reached, or it has refused a request and is closed.
Address: it does not answer, or has not yet."""


class HostBusy(SlotsTaken):
    """The host, or its address, gets no further request now, or no thread is free to look up its name.

    No attempt is spent. `reason` labels the metric of requeues. `failure` is that of the host's last refusal or
    time-out if it has accepted nothing since, for `failing_s` seconds. `refused`: whether this fetch was refused.
    """

    def __init__(
        self,
        wait: float = MIN_WAIT_S,
        *,
        reason: BusyReason = "host_busy",
        failure: ImageFailure | None = None,
        failing_s: float = 0.0,
        refused: bool = False,
    ) -> None:
        super().__init__("the host gets no further request at present", wait)
        self.reason = reason
        self.failure = failure
        self.failing_s = failing_s
        self.refused = refused


class _Host:
    """One host. `pacing` counts the requests that wait for their time.

    `sharing` reports the demand for slots to the other processes, whose answer is valid until `shared_until`.
    """

    __slots__ = ("condition", "limiter", "pacing", "probe", "shared_until", "sharing")

    def __init__(self, limiter: SlotLimiter, condition: HostCondition) -> None:
        self.limiter = limiter
        self.condition = condition
        self.pacing = 0
        self.probe: Slot | None = None
        self.shared_until = -math.inf
        self.sharing: asyncio.Task[None] | None = None

    @property
    def is_free(self) -> bool:
        return self.limiter.is_free and not self.condition.restricted

    @property
    def is_idle(self) -> bool:
        return self.limiter.is_idle and not self.pacing and self.sharing is None

    def is_kept(self, now: float) -> bool:
        return self.limiter.schedule.pending(now) or self.condition.is_kept(now)


class HostLimiter(LoopBound):
    """At most `limit` concurrent requests to each host, as SlotLimiter does, and as many as the host accepts.

    A host is kept while a request holds or awaits one of its slots, and after that until the last deferred request has
    come back, at most MAX_IDLE_HOSTS of them. Beyond that the host that has been idle longest is forgotten; its
    requests then come back early, and its rate is learned again.
    """

    def __init__(self, limit: int, *, max_wait: float, shared: SharedLimits | None = None) -> None:
        """`max_wait` is in seconds: a slow host must not fill the worker with waiting requests.

        shared: limits of all processes together; then `renew_forever` must run.
        """
        self._limit = limit
        self._max_wait = max_wait
        self._shared = shared
        self._hosts: dict[str, _Host] = {}
        self._idle: OrderedDict[str, _Host] = OrderedDict()

    def __len__(self) -> int:
        """Count hosts with a slot that is held or awaited."""
        return len(self._hosts)

    @property
    def idle_hosts(self) -> int:
        return len(self._idle)

    @property
    def rate_limited(self) -> int:
        """Count hosts with a learned rate. Another thread may call this, and `hung`."""
        return sum(host.condition.rate.limited for host in self._known())

    @property
    def hung(self) -> int:
        """Count hosts that do not answer."""
        return sum(host.condition.hung for host in self._known())

    def _known(self) -> tuple[_Host, ...]:
        return (*self._hosts.values(), *self._idle.values())

    def is_free(self, name: str) -> bool:
        """Return whether `acquire` would not wait."""
        host = self._hosts.get(name) or self._idle.get(name)
        return host is None or host.is_free

    async def acquire(self, name: str) -> Slot:
        """Take a slot; `release` returns it. Raises HostBusy, at once or after `max_wait`."""
        host = self._hosts.get(name)
        if host is None:
            host = self._idle.pop(name) if name in self._idle else self._new_host(name)
            self._hosts[name] = host
        try:
            if self._shared is not None and self._loop.time() >= host.shared_until:
                await self._share(name, host, self._shared)
            return await self._acquire(host)
        except HostBusy:
            raise
        except SlotsTaken as taken:
            raise _busy(host, taken.wait) from None
        finally:
            self._forget_if_idle(name, host)

    def release(
        self, slot: Slot, answer: Answer = Answer.ACCEPTED, failure: ImageFailure | None = None
    ) -> None:
        """Return a slot, or pass it to the first waiting request. `failure` is that of the request."""
        host = self._hosts[slot.kind]
        probe = host.probe is slot
        if probe:
            host.probe = None
        host.condition.record(answer, sent_at=slot.acquired_at, failure=failure, probe=probe)
        host.limiter.release(slot, served=answer is not Answer.UNSENT)
        self._forget_if_idle(slot.kind, host)

    def defer_refused(self, name: str) -> HostBusy:
        """Return the error of a fetch that the host has refused and that does not wait here."""
        host = self._hosts.get(name) or self._idle.get(name)
        return HostBusy(reason="host_refused") if host is None else self._defer(host, refused=True)

    async def renew_forever(self, shared: SharedLimits) -> None:
        """Renew the shares of all hosts that have requests, and give those of the others back, until cancelled."""
        held: set[str] = set()
        while True:
            await asyncio.sleep(RENEW_S)
            current = dict(self._hosts)
            ended = [Demand(name, 0, 0, 0) for name in held - current.keys()]
            held = set(current)
            await asyncio.gather(
                *(self._share(name, host, shared) for name, host in current.items()),
                *map(shared.share, ended),
            )

    async def _share(self, name: str, host: _Host, shared: SharedLimits) -> None:
        """Report the demand, and take the share. Concurrent calls for a host are one."""
        if host.sharing is None:
            host.sharing = self._loop.create_task(self._report(name, host, shared))
        host.pacing += (
            1  # It must not be forgotten between the end of the report and the use of its share.
        )
        try:
            await asyncio.shield(host.sharing)
        finally:
            host.pacing -= 1

    async def _report(self, name: str, host: _Host, shared: SharedLimits) -> None:
        rate = host.condition.rate
        try:
            share = await shared.share(
                Demand(
                    name,
                    self._limit,
                    rate.limit if rate.limited else 0,
                    max(0.0, rate.closed_until - self._loop.time()),
                )
            )
            now = self._loop.time()
            host.shared_until = now + SHARE_S - RENEW_S
            host.limiter.resize(self._limit if share is None else share.slots)
            if share is not None:
                rate.share(
                    now,
                    peers=share.limited_peers,
                    peers_rate=share.peers_rate,
                    closed=share.closed,
                )
        finally:
            host.sharing = None
            self._forget_if_idle(name, host)

    def _new_host(self, name: str) -> _Host:
        limiter = SlotLimiter(name, self._limit, max_wait=self._max_wait, loop=self._loop)
        return _Host(limiter, HostCondition(self._loop.time))

    async def _acquire(self, host: _Host) -> Slot:
        condition = host.condition
        while not condition.hung:
            if condition.rate.limited:
                await self._pace(host)
            epoch = condition.rate.epoch
            slot = await host.limiter.acquire()
            if condition.rate.epoch == epoch and not condition.hung:
                return slot
            # The host has refused a request, or was found to hang, while this one waited.
            host.limiter.release(slot, served=False)
        if host.probe is not None or not condition.may_probe():
            raise self._defer(host)
        slot = host.probe = await host.limiter.acquire()
        return slot

    async def _pace(self, host: _Host) -> None:
        """Wait until the host's rate permits a request. Raises HostBusy if that takes long."""
        rate = host.condition.rate
        while rate.limited:
            wait = rate.wait(self._loop.time())
            if wait > self._max_wait or (wait > 0 and host.pacing >= self._max_pacing(host)):
                raise self._defer(host)
            rate.reserve(self._loop.time())
            if not wait:
                return
            epoch = rate.epoch
            host.pacing += 1
            try:
                await asyncio.sleep(wait)
            finally:
                host.pacing -= 1
            if rate.epoch == epoch:
                return

    def _max_pacing(self, host: _Host) -> int:
        return max(self._limit, int(host.condition.rate.limit * self._max_wait / 4))

    def _defer(self, host: _Host, *, refused: bool = False) -> HostBusy:
        """Give a request that the host's condition keeps back the time at which it comes back."""
        condition = host.condition
        interval = min(RETURN_INTERVAL_S, 1 / (_OPTIMISM * condition.rate.limit))
        wait = host.limiter.schedule.next_slot_after(
            self._loop.time(), condition.opens_in, interval
        )
        return _busy(host, wait, refused=refused)

    def _forget_if_idle(self, name: str, host: _Host) -> None:
        if not host.is_idle or self._hosts.get(name) is not host:
            return
        del self._hosts[name]
        now = self._loop.time()
        while self._idle and not next(iter(self._idle.values())).is_kept(now):
            self._idle.popitem(last=False)
        if host.is_kept(now):
            self._idle[name] = host
            if len(self._idle) > MAX_IDLE_HOSTS:
                self._idle.popitem(last=False)


def _busy(host: _Host, wait: float, *, refused: bool = False) -> HostBusy:
    condition = host.condition
    reason: BusyReason
    if condition.hung:
        reason = "host_hung"
    elif refused or condition.closed:
        reason = "host_refused"
    else:
        reason = "host_rate" if condition.rate.limited else "host_busy"
    return HostBusy(
        wait,
        reason=reason,
        failure=condition.failure,
        failing_s=condition.failing_s,
        refused=refused,
    )

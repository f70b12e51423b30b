"""One customer at one host: when its requests may be sent, and when those come back that may not.

The answers to a customer's requests count for that customer only. Otherwise a customer with URLs that hang or that are
refused could keep another one from a host that they share, for example a content delivery network.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Literal

from consumer.fetching.limits.host_condition import HostCondition
from consumer.slot_limiter import MIN_WAIT_S, RetrySchedule, Slot, SlotsTaken
from core.errors import ImageFailure

RETURN_INTERVAL_S = 0.1
_OPTIMISM = 1.2
"""Requests over a learned rate come back somewhat faster than it, and every RETURN_INTERVAL_S at least. So the host is
used fully if it accepts more than was learned. Those that come too early are deferred again."""


BusyReason = Literal[
    "host_busy", "host_hung", "host_rate", "host_refused", "address_hung", "address_new", "dns_busy"
]
"""Host: its slots are taken, it does not answer, its rate is reached, or it has refused a request and is closed.
Address: it does not answer, or has not yet. DNS: no thread is free to look up the name."""


class HostBusy(SlotsTaken):
    """The host, or its address, gets no further request now, or no thread is free to look up its name.

    No attempt is spent. `reason` labels the metric of requeues. `failure` is that of the last refusal or time-out of
    this customer's requests if none was accepted since, for `failing_s` seconds. `refused`: whether this fetch was
    refused.
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


class HostCustomer:
    """One customer at one host. `clock` returns seconds.

    requests: those that hold or await a slot of the host. probe: the slot of the one that tests whether it still hangs.
    sharing: the report to the other processes, whose answer is valid until `shared_until`.
    """

    __slots__ = (
        "_clock",
        "_pacing",
        "condition",
        "customer_id",
        "probe",
        "requests",
        "schedule",
        "shared_until",
        "sharing",
    )

    def __init__(self, customer_id: str, clock: Callable[[], float]) -> None:
        self.customer_id = customer_id
        self.condition = HostCondition(clock)
        self.schedule = RetrySchedule()
        self.requests = 0
        self.probe: Slot | None = None
        self.shared_until = -math.inf
        self.sharing: asyncio.Task[None] | None = None
        self._clock = clock
        self._pacing = 0
        """Requests that wait for their time."""

    @property
    def is_idle(self) -> bool:
        return not self.requests and self.sharing is None

    def is_kept(self, now: float) -> bool:
        """Return whether it must outlast a moment without requests."""
        return self.schedule.pending(now) or self.condition.is_kept(now)

    async def pace(self, *, max_wait: float, limit: int) -> None:
        """Wait until the host's rate permits a request. Raises HostBusy if that takes more than `max_wait` seconds.

        limit: requests that may wait here, or as many as the rate permits in a quarter of `max_wait` if more.
        """
        rate = self.condition.rate
        while rate.limited:
            wait = rate.wait(self._clock())
            most = max(limit, int(rate.limit * max_wait / 4))
            if wait > max_wait or (wait > 0 and self._pacing >= most):
                raise self.defer()
            rate.reserve(self._clock())
            if not wait:
                return
            epoch = rate.epoch
            self._pacing += 1
            try:
                await asyncio.sleep(wait)
            finally:
                self._pacing -= 1
            if rate.epoch == epoch:
                return

    def defer(self, *, refused: bool = False) -> HostBusy:
        """Give a request that the condition keeps back the time at which it comes back."""
        condition = self.condition
        interval = RETURN_INTERVAL_S
        if condition.rate.limited:
            interval = min(interval, 1 / (_OPTIMISM * condition.rate.limit))
        wait = self.schedule.next(self._clock(), interval, wait=condition.opens_in)
        return self.busy(wait, refused=refused)

    def busy(self, wait: float, *, refused: bool = False) -> HostBusy:
        condition = self.condition
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

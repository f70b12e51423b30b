"""A circuit breaker: calls to a dependency that is down fail at once instead of waiting for it."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum

import structlog

from core.resilience.backoff import Backoff

_log = structlog.get_logger()

OPEN_TIME = Backoff(0.25, 30.0, floor=0.5)
"""Short at first, because a short stall is the likeliest cause. The floor gives the dependency time to recover."""


class BreakerState(Enum):
    CLOSED = "closed"
    """All calls pass."""
    OPEN = "open"
    """No call passes until the open time is over."""
    HALF_OPEN = "half-open"
    """One trial is under way. Its outcome closes the breaker, or opens it for longer."""


class CircuitBreaker:
    """Opens at the first failure, for a time that grows with each failed trial.

    Without `probe`, the first call after the open time is the trial. With `probe`, calls pass only while the breaker
    is closed, and the trial is a call of `probe` in a task of the breaker's own; it returns whether the dependency
    works. `clock` returns seconds, by default the event loop's time.
    """

    def __init__(
        self,
        open_time: Backoff = OPEN_TIME,
        *,
        probe: Callable[[], Awaitable[bool]] | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.state = BreakerState.CLOSED
        self._open_time = open_time
        self._probe = probe
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._failures = 0
        self._trial_at = 0.0
        self._probing: asyncio.Task[None] | None = None

    @property
    def closed(self) -> bool:
        return self.state is BreakerState.CLOSED

    @property
    def trial_in_s(self) -> float:
        """Seconds until the next trial; 0 if there is nothing to wait for."""
        return 0.0 if self.closed else max(0.0, self._trial_at - self._clock())

    def allow(self) -> bool:
        """Return whether the caller may call now. In the state half-open, this call is the trial."""
        if self.closed:
            return True
        if self._probe is not None or self.trial_in_s > 0:
            return False
        self.state = BreakerState.HALF_OPEN
        # If the trial never reports, another call is the next one.
        self._trial_at = self._clock() + self._open_time.delay(self._failures)
        return True

    async def wait_for_trial(self) -> None:
        """Sleep until the open time is over; the caller's next call is the trial. Not for a breaker with a probe."""
        while not self.allow():  # noqa: ASYNC110  only time has to pass
            await asyncio.sleep(self.trial_in_s)

    def record_success(self) -> None:
        self.state = BreakerState.CLOSED
        self._failures = 0

    def record_failure(self) -> None:
        # Many calls fail in one outage: those after the first change nothing.
        if self.state is BreakerState.OPEN:
            return
        self.state = BreakerState.OPEN
        self._failures += 1
        self._trial_at = self._clock() + self._open_time.delay(self._failures)
        self.start_probe()

    def start_probe(self, delay_s: float = 0.0) -> None:
        """Probe after `delay_s` seconds, or when the open time is over, until a probe succeeds."""
        if self._probe is not None and (self._probing is None or self._probing.done()):
            probing = self._probe_until_closed(self._probe, delay_s)
            self._probing = asyncio.create_task(probing, name="circuit breaker probe")

    async def close(self) -> None:
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.wait([self._probing])

    async def _probe_until_closed(
        self, probe: Callable[[], Awaitable[bool]], delay_s: float
    ) -> None:
        await asyncio.sleep(delay_s)
        while True:
            if not self.closed:
                await asyncio.sleep(self.trial_in_s)
                self.state = BreakerState.HALF_OPEN
            try:
                works = await probe()
            except Exception:  # noqa: BLE001  a fault of the probe must not leave the breaker open for ever
                _log.exception("circuit breaker probe failed")
                works = False
            if works:
                self.record_success()
                return
            self.record_failure()

"""Measures the lag of the event loop, and detects a loop that is stuck."""

import asyncio
import time

from prometheus_client import Histogram

EVENT_LOOP_LAG_SECONDS = Histogram(
    "event_loop_lag_seconds",
    "Lag of the event loop behind its schedule, one sample per quarter of a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
INTERVAL_S = 0.25
STALL_TIMEOUT_S = 30.0
"""Seconds without a tick after which the loop counts as stuck. Our code never blocks it for a second; a machine that
swaps, or a debugger, may block it for several."""
_MAX_SAMPLES = 1_000


class EventLoopMonitor:
    """Await `run` on the monitored loop; call `alive` from any thread."""

    def __init__(self, stall_timeout_s: float = STALL_TIMEOUT_S) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._last_tick: float | None = None

    async def run(self) -> None:
        self._last_tick = time.monotonic()
        while True:
            due = self._last_tick + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self._last_tick = time.monotonic()
            _observe(max(0.0, self._last_tick - due))

    def alive(self) -> bool:
        """Return False if the loop is stuck; True also before `run`, while the process starts."""
        return self._last_tick is None or time.monotonic() - self._last_tick < self._stall_timeout_s


def _observe(lag: float) -> None:
    """Add one sample per missed tick, so that a long block weighs more than a short one."""
    for missed in range(min(int(lag / INTERVAL_S) + 1, _MAX_SAMPLES)):
        EVENT_LOOP_LAG_SECONDS.observe(lag - missed * INTERVAL_S)

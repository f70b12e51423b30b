"""Whether the event loop turns, and how late it runs what is due."""

import asyncio
import time

from prometheus_client import Histogram

EVENT_LOOP_LAG_SECONDS = Histogram(
    "event_loop_lag_seconds",
    "How late the event loop ran what was due, sampled for every quarter of a second.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
INTERVAL_S = 0.25
STALL_TIMEOUT_S = 30.0
"""Seconds without a beat after which the loop counts as stuck. Nothing of ours holds it for a second; a machine that
swaps, or a debugger, may hold it for several."""


_MOST_SAMPLES = 1_000


class EventLoopMonitor:
    """`run` on the loop that is watched; `alive` may be asked from any thread."""

    def __init__(self, stuck_s: float = STALL_TIMEOUT_S) -> None:
        self._stuck_s = stuck_s
        self._last: float | None = None

    async def run(self) -> None:
        """Beat until cancelled."""
        self._last = time.monotonic()
        while True:
            due = self._last + INTERVAL_S
            await asyncio.sleep(INTERVAL_S)
            self._last = time.monotonic()
            _observe(max(0.0, self._last - due))

    def alive(self) -> bool:
        """True before the pulse runs, too: whoever starts is not stuck."""
        return self._last is None or time.monotonic() - self._last < self._stuck_s


def _observe(lag: float) -> None:
    """One sample for each beat that was due meanwhile, or a long block would weigh no more than a short one."""
    for missed in range(min(int(lag / INTERVAL_S) + 1, _MOST_SAMPLES)):
        EVENT_LOOP_LAG_SECONDS.observe(lag - missed * INTERVAL_S)

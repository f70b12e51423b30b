"""Rate limiter for work that costs a number of units per call."""

import asyncio

_MAX_CATCH_UP_S = 1.0
"""Work that fell behind the rate may catch up on this many seconds of it; more would be a burst."""


class RateLimiter:
    """Admits `rate` units per second to all callers together. Create it in a running event loop."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()

    async def acquire(self, units: int) -> None:
        """Wait until `units` more units are due. The time that the work itself took since the last call counts."""
        now = self._loop.time()
        self._due = max(self._due, now - _MAX_CATCH_UP_S) + units / self._rate
        await asyncio.sleep(self._due - now)

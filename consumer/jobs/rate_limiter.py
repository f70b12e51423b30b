"""A bound on how much is done a second, by the time that has passed."""

import asyncio

_BEHIND_S = 1.0
"""So much of what was too slow is made up for; more would be a burst."""


class Pace:
    """Lets `rate` pieces pass a second, over all who share it, from now on. What the work itself takes counts.

    To be made while an event loop runs.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()

    async def spend(self, pieces: int) -> None:
        """Wait until as many as were spent, these included, are due."""
        now = self._loop.time()
        self._due = max(self._due, now - _BEHIND_S) + pieces / self._rate
        await asyncio.sleep(self._due - now)

"""The schedule of an open loop: when each item is due, whatever the outcome of earlier items.

A closed loop sends nothing while it waits for a slow response. It therefore does not measure how long the unsent items
would have waited (G. Tene, "coordinated omission"). An open loop keeps a rate: the latency of an item that is sent
late counts from the time when it was due.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` items per second, evenly spaced, from `start` on any clock."""

    start: float
    rate: float

    def intended(self, number: int) -> float:
        """Return when item `number` (from 0) is due."""
        return self.start + number / self.rate

    def due(self, now: float) -> int:
        """Return the number of items due by `now`."""
        if now < self.start:
            return 0
        return math.floor((now - self.start) * self.rate) + 1

    def latency(self, number: int, ended: float) -> float:
        """Return the latency of item `number` in seconds, including its wait to be sent."""
        return ended - self.intended(number)

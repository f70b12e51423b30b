"""An open loop's schedule: when each item was to be sent, whatever the service made of the earlier ones.

A closed loop that waits for a slow answer does not send meanwhile, and so never measures what those unsent items would
have had to wait (G. Tene's "coordinated omission"). An open loop has a rate to keep: an item that was sent late is
measured from the moment at which it should have been sent.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """`rate` items a second, evenly spaced, from `start` on any clock."""

    start: float
    rate: float

    def intended(self, number: int) -> float:
        """When item `number` (0 and up) is to be sent."""
        return self.start + number / self.rate

    def due(self, now: float) -> int:
        """How many items should have been sent by `now`."""
        if now < self.start:
            return 0
        return math.floor((now - self.start) * self.rate) + 1

    def latency(self, number: int, ended: float) -> float:
        """Seconds that item `number` took, its wait to be sent included."""
        return ended - self.intended(number)

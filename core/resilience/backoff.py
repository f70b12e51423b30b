"""Delays between attempts. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from tenacity import RetryCallState

_MAX_EXPONENT = 30
"""An outage may last for thousands of attempts, and 2.0 ** 1024 overflows."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff: a random delay up to a ceiling that grows from `first_s` to `longest_s` seconds.

    `floor` is the shortest delay as a share of the ceiling: 0 is full jitter, 1 is no jitter. Full jitter spreads
    callers that failed together best, so each use of a floor states its reason. `jitter` draws from a range, as
    random.uniform does. A Backoff is also a wait strategy for tenacity.
    """

    first_s: float
    longest_s: float
    factor: float = 2.0
    floor: float = 0.0
    jitter: Callable[[float, float], float] = field(
        default=random.uniform, repr=False, compare=False
    )

    @classmethod
    def between(cls, shortest_s: float, longest_s: float) -> Self:
        """A delay that does not grow, from `shortest_s` to `longest_s` seconds."""
        return cls(longest_s, longest_s, factor=1.0, floor=shortest_s / longest_s)

    def ceiling(self, attempt: int) -> float:
        """Return the longest delay after failed attempt number `attempt`, counted from 1."""
        return min(self.longest_s, self.first_s * self.factor ** min(attempt - 1, _MAX_EXPONENT))

    def delay(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt`, counted from 1."""
        ceiling = self.ceiling(attempt)
        return self.jitter(self.floor * ceiling, ceiling)

    def __call__(self, state: RetryCallState) -> float:
        return self.delay(state.attempt_number)

"""When a watched request is read next. Pure; times in seconds."""

import math
from dataclasses import dataclass

from core.request import State

_AGE_SHARE = 0.1
"""An interval is this share of the age, so that news are late by a tenth of the time waited, at most."""
_LONGEST_BACKOFF_S = 10.0


@dataclass(frozen=True, slots=True)
class WatchSchedule:
    """With 0.25 and 30 s: four reads a second for 2.5 s, then ever fewer; two a minute after five minutes."""

    shortest: float
    longest: float

    def interval(self, state: State, age: float) -> float:
        """Time until the next read of a request that has been in `state` for `age`; infinite means never.

        COMPLETED never changes. FAILED may be redriven while the stream still waits for other ids.
        """
        match state:
            case State.COMPLETED:
                return math.inf
            case State.FAILED:
                return self.longest
            case State.PENDING:
                return min(max(age * _AGE_SHARE, self.shortest), self.longest)

    def backoff(self, failures: int) -> float:
        """Longest wait after `failures` rounds in a row that could not read; to be taken with jitter."""
        # The exponent is bounded, because an outage may last and floats overflow.
        return min(self.shortest * 2.0 ** min(failures, 16), _LONGEST_BACKOFF_S)

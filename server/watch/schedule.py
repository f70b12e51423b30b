"""When a watched request is read next. Pure; times in seconds."""

import math
from dataclasses import dataclass

from core.model.request import State
from core.resilience.backoff import Backoff

_AGE_SHARE = 0.05
"""An interval is this share of the age, so that news are late by a twentieth of the time waited, at most."""
_TICK_SHARE = 0.2
_LONGEST_BACKOFF_S = 10.0


@dataclass(frozen=True, slots=True)
class WatchSchedule:
    """With 0.25 and 30 s: four reads a second for 5 s, then ever fewer; two a minute after ten minutes."""

    shortest: float
    longest: float

    @property
    def tick(self) -> float:
        """Time between two looks at what is due, so that a read is late by little against its interval."""
        return self.shortest * _TICK_SHARE

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

    @property
    def backoff(self) -> Backoff:
        """Added to the shortest interval after rounds that could not read."""
        return Backoff(2 * self.shortest, _LONGEST_BACKOFF_S)


def to_read(overdue: int, *, call_size: int, waited_enough: bool) -> int:
    """How many ids to read now, the most overdue first, where `call_size` share a call.

    Whole calls always. What would fill only a part of one waits for company, but not for ever: then one more call
    leaves, and what it has room for goes to ids that are due soon. So a few ids fall into step and cost few calls.
    """
    whole = overdue - overdue % call_size
    return whole + call_size if overdue > whole and waited_enough else whole

"""Decides when watched requests are polled. Pure: callers pass the current time. Times are in seconds."""

import math
from dataclasses import dataclass

from core.model.request import State
from core.resilience.backoff import Backoff

_AGE_SHARE = 0.05
"""The interval is this share of the request's age, so polling adds at most 5 percent to the time until a change."""
_TICK_SHARE = 0.2
_LONGEST_BACKOFF_S = 10.0


@dataclass(frozen=True, slots=True)
class PollIntervals:
    """With 0.25 and 30 s: four polls a second for the first 5 s, then fewer; two a minute after ten minutes."""

    shortest: float
    longest: float

    @property
    def tick(self) -> float:
        """The time between two checks for due requests. It is short compared to the shortest interval."""
        return self.shortest * _TICK_SHARE

    def interval(self, state: State, age: float) -> float:
        """Return the time until the next poll of a request that has been in `state` for `age`; infinity for never.

        COMPLETED never changes. A FAILED request may be reopened while the stream still waits for other ids.
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
        """The delay after failed polls, in addition to the shortest interval."""
        return Backoff(2 * self.shortest, _LONGEST_BACKOFF_S)


class PollScheduler:
    """Selects the ids to poll. One call reads up to `call_size` ids.

    Full calls are made at once. Ids that do not fill a call wait for up to the shortest interval; then one more call is
    made, filled up with ids that are due within a tick. So a small number of ids synchronises and needs few calls.
    """

    def __init__(self, intervals: PollIntervals, call_size: int) -> None:
        self._intervals = intervals
        self._call_size = call_size
        self._due: dict[str, float] = {}
        self._next_partial_call = 0.0

    def schedule(self, request_id: str, state: State, age: float, now: float) -> None:
        """Schedule the next poll of a request that has been in `state` for `age`."""
        self._due[request_id] = now + self._intervals.interval(state, age)

    def remove(self, request_id: str) -> None:
        self._due.pop(request_id, None)

    def due(self, now: float) -> list[str]:
        """Return the ids to poll now, the most overdue first."""
        candidates = sorted(
            (due, request_id)
            for request_id, due in self._due.items()
            if due <= now + self._intervals.tick
        )
        overdue = sum(due <= now for due, _ in candidates)
        count = poll_count(overdue, self._call_size, partial=now >= self._next_partial_call)
        if count > overdue:
            self._next_partial_call = now + self._intervals.shortest
        return [request_id for _, request_id in candidates[:count]]


def poll_count(overdue: int, call_size: int, *, partial: bool) -> int:
    """Return how many ids to poll: all that fill whole calls, and one more call if `partial` calls are allowed now."""
    full = overdue - overdue % call_size
    return full + call_size if overdue > full and partial else full

"""When the next call is due.

In a closed loop a user calls again as soon as it is free. In an open loop calls arrive at a rate, whatever the outcome
of earlier calls: any free user takes the next arrival, and its latency counts from the intended time. Therefore the
latency includes the time that a call waited because all users were busy ("coordinated omission").
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loadtest.run_report.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Share:
    """The share of one process in a run: it is number `index` of `processes`."""

    index: int
    processes: int

    def of(self, number: int) -> int:
        """Return the share of this process in a whole number."""
        return number // self.processes + (self.index < number % self.processes)


class Arrivals(Protocol):
    def take(self) -> float | None:
        """Wait until the next call is due and return the time from which its latency counts.

        The time is that of `time.perf_counter`. Returns None if there are no more calls.
        """

    @property
    def exhausted(self) -> bool:
        """Whether the last call of the run was taken."""

    @property
    def unsent(self) -> int:
        """The number of calls that are due and not yet taken by a user."""


class ClosedArrivals:
    """Calls are due at once. `limit` is the number of calls; None sets no limit."""

    def __init__(self, limit: int | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self._limit = limit
        self._taken = 0
        self._clock = clock

    def take(self) -> float | None:
        if self.exhausted:
            return None
        self._taken += 1
        return self._clock()

    @property
    def exhausted(self) -> bool:
        return self._taken == self._limit

    @property
    def unsent(self) -> int:
        return 0


class OpenArrivals:
    """`rate` calls per second over all processes. The schedule starts with the first `take`."""

    def __init__(
        self,
        rate: float,
        share: Share,
        limit: int | None,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._rate = rate
        self._share = share
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._taken = 0
        self._schedule: Schedule | None = None

    def take(self) -> float | None:
        if self.exhausted:
            return None
        schedule = self._schedule = self._schedule or self._start()
        intended = schedule.intended(self._taken)
        self._taken += 1
        if (early := intended - self._clock()) > 0:
            self._sleep(early)
        return intended

    @property
    def exhausted(self) -> bool:
        return self._taken == self._limit

    @property
    def unsent(self) -> int:
        if self._schedule is None:
            return 0
        due = self._schedule.due(self._clock())
        return max(0, (due if self._limit is None else min(due, self._limit)) - self._taken)

    def _start(self) -> Schedule:
        """Start a schedule that interleaves with those of the other processes."""
        start = self._clock() + self._share.index / self._rate
        return Schedule(start, self._rate / self._share.processes)


def arrivals(rate: float, requests: int, share: Share) -> Arrivals:
    """Create the arrivals. A `rate` of 0 is a closed loop; `requests` of 0 sets no limit."""
    limit = share.of(requests) if requests else None
    return OpenArrivals(rate, share, limit) if rate else ClosedArrivals(limit)

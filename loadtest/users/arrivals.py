"""When the next call is to be made.

In a closed loop a user calls again as soon as it is free. In an open loop calls arrive at a rate whatever the service
made of the earlier ones: whichever user is free takes the next arrival, and its latency counts from the moment that
the schedule intended. So a call that had to wait because all users were busy is not measured too short ("coordinated
omission").
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from loadtest.run_report.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of a run one process has: it is the `index`th of `processes`."""

    index: int
    processes: int

    def of(self, number: int) -> int:
        """This process's part of a whole number."""
        return number // self.processes + (self.index < number % self.processes)


class Arrivals(Protocol):
    def take(self) -> float | None:
        """Wait until the next call is due; the time from which its latency counts.

        On `time.perf_counter`'s clock. None where no more is to be made.
        """

    @property
    def exhausted(self) -> bool:
        """Whether the run's last call was taken."""

    @property
    def unsent(self) -> int:
        """How many calls should have been made by now and were not taken by any user."""


class ClosedArrivals:
    """Due as soon as asked for. `limit` is how many calls there are; None sets none."""

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
    """`rate` calls a second over all processes. The schedule begins when the first call is asked for."""

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
        schedule = self._schedule = self._schedule or self._begun()
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

    def _begun(self) -> Schedule:
        """The processes' arrivals lie between each other's."""
        start = self._clock() + self._share.index / self._rate
        return Schedule(start, self._rate / self._share.processes)


def arrivals(rate: float, requests: int, share: Share) -> Arrivals:
    """A `rate` of 0 is a closed loop; `requests` of 0 sets no limit."""
    limit = share.of(requests) if requests else None
    return OpenArrivals(rate, share, limit) if rate else ClosedArrivals(limit)

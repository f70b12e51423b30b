"""When locust users call: closed and open loops, limits, and shares of several processes."""

from dataclasses import dataclass, field

import pytest

from loadtest.users.arrivals import ClosedArrivals, OpenArrivals, Share, arrivals


@dataclass
class Time:
    """A clock that advances only by `sleep`, or by the test."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


ALONE = Share(0, 1)


def open_arrivals(
    time: Time, rate: float, share: Share = ALONE, limit: int | None = None
) -> OpenArrivals:
    return OpenArrivals(rate, share, limit, time.clock, time.sleep)


def test_an_open_loop_waits_for_each_intended_time() -> None:
    time = Time()
    loop = open_arrivals(time, rate=4)
    assert [loop.take() for _ in range(3)] == [100, 100.25, 100.5]
    assert time.slept == [0.25, 0.25]


def test_a_late_call_is_due_at_once_and_timed_from_the_intended_time() -> None:
    time = Time()
    loop = open_arrivals(time, rate=4)
    loop.take()
    time.now += 10
    assert [loop.take(), loop.take()] == [100.25, 100.5]
    assert not time.slept


def test_processes_share_a_rate_and_their_arrivals_interleave() -> None:
    taken: list[float] = []
    for index in range(4):
        loop = open_arrivals(Time(), rate=8, share=Share(index, 4))
        taken += [time_ for _ in range(2) if (time_ := loop.take()) is not None]
    assert sorted(taken) == [100 + number / 8 for number in range(8)]


def test_due_calls_that_no_user_takes_are_unsent() -> None:
    time = Time()
    loop = open_arrivals(time, rate=4)
    assert loop.unsent == 0, "the schedule has not started"
    loop.take()
    time.now += 1
    assert loop.unsent == 4


def test_a_loop_has_no_calls_beyond_its_limit() -> None:
    time = Time()
    loop = open_arrivals(time, rate=4, limit=3)
    loop.take()
    time.now += 100
    assert loop.unsent == 2
    assert [loop.take() is None for _ in range(3)] == [False, False, True]
    assert loop.exhausted
    assert loop.unsent == 0


def test_a_closed_loop_is_due_at_once_until_its_limit() -> None:
    time = Time()
    loop = ClosedArrivals(2, time.clock)
    assert [loop.take(), loop.take(), loop.take()] == [100, 100, None]
    assert loop.exhausted
    assert loop.unsent == 0


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("requests", [1, 5, 100])
def test_the_processes_together_make_exactly_the_requested_calls(
    processes: int, requests: int
) -> None:
    made = 0
    for index in range(processes):
        loop = arrivals(0, requests, Share(index, processes))
        while loop.take() is not None:
            made += 1
    assert made == requests


def test_a_loop_without_limit_is_never_exhausted() -> None:
    loop = arrivals(0, 0, Share(0, 1))
    assert all(loop.take() is not None for _ in range(1_000))
    assert not loop.exhausted

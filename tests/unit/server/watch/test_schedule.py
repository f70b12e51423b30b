"""When watched requests are polled."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.request import State
from server.watch.schedule import PollIntervals, PollScheduler, poll_count

INTERVALS = PollIntervals(shortest=0.25, longest=30)
ages = st.floats(-60, 1e9)


@pytest.mark.parametrize(
    ("state", "age", "expected"),
    [
        (State.PENDING, 0, 0.25),
        (State.PENDING, 5, 0.25),
        (State.PENDING, 20, 1.0),
        (State.PENDING, 300, 15),
        (State.PENDING, 600, 30),
        (State.PENDING, 86_400, 30),
        (State.PENDING, -5, 0.25),
        (State.FAILED, 0, 30),
        (State.COMPLETED, 0, math.inf),
    ],
)
def test_intervals_grow_with_age(state: State, age: float, expected: float) -> None:
    """A new request is polled often, an old one rarely, a COMPLETED one never; clock skew is tolerated."""
    assert INTERVALS.interval(state, age) == expected


@given(ages, ages)
def test_an_older_request_is_never_polled_more_often(one: float, other: float) -> None:
    """Intervals never shrink with age, and stay within their bounds."""
    younger, older = sorted((one, other))
    short, long = (INTERVALS.interval(State.PENDING, age) for age in (younger, older))
    assert INTERVALS.shortest <= short <= long <= INTERVALS.longest


@pytest.mark.parametrize(("failures", "expected"), [(1, 0.5), (2, 1), (5, 8), (6, 10), (5_000, 10)])
def test_backoff_doubles_up_to_ten_seconds(failures: int, expected: float) -> None:
    """However long the outage lasts."""
    assert INTERVALS.backoff.ceiling(failures) == expected


@pytest.mark.parametrize(
    ("overdue", "partial", "expected"),
    [
        (0, True, 0),
        (1, False, 0),
        (1, True, 100),
        (99, False, 0),
        (100, False, 100),
        (100, True, 100),
        (250, False, 200),
        (250, True, 300),
    ],
)
def test_a_partial_call_waits(overdue: int, partial: bool, expected: int) -> None:
    """Full calls are made at once; the rest waits until partial calls are allowed, in a call with room for others."""
    assert poll_count(overdue, 100, partial=partial) == expected


def scheduler_of(ages: dict[str, float]) -> PollScheduler:
    """Requests that were polled at time 0; calls have room for two."""
    scheduler = PollScheduler(INTERVALS, 2)
    for request_id, age in ages.items():
        scheduler.schedule(request_id, State.PENDING, age, 0)
    return scheduler


def test_the_most_overdue_request_is_polled_first() -> None:
    """Requests that are not due are not polled."""
    scheduler = scheduler_of({"a": 40, "b": 20, "c": 600})
    assert scheduler.due(0.9) == []
    assert scheduler.due(5) == ["b", "a"]


def test_a_partial_call_takes_requests_that_are_due_soon() -> None:
    """Then the next partial call waits for the shortest interval."""
    scheduler = scheduler_of({"a": 20, "b": 20.5, "c": 32})
    assert scheduler.due(1.0) == ["a", "b"]
    scheduler.schedule("a", State.PENDING, 21, 1)
    scheduler.schedule("b", State.PENDING, 0, 1)
    assert scheduler.due(1.3) == ["b"]
    assert scheduler.due(1.51) == []
    assert scheduler.due(1.56) == ["b", "c"]


def test_a_removed_request_is_not_polled() -> None:
    """Nor one that never changes again."""
    scheduler = scheduler_of({"a": 0, "b": 0})
    scheduler.remove("a")
    scheduler.remove("never scheduled")
    scheduler.schedule("b", State.COMPLETED, 0, 0)
    assert scheduler.due(1e9) == []

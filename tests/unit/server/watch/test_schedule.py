"""How often a watched request is read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.request import State
from server.watch.schedule import WatchSchedule, to_read

SCHEDULE = WatchSchedule(shortest=0.25, longest=30)
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
    """A young request is read often, an old one seldom, a COMPLETED one never; clocks may disagree."""
    assert SCHEDULE.interval(state, age) == expected


@given(ages, ages)
def test_an_older_request_is_never_read_more_often(one: float, other: float) -> None:
    """Intervals never shrink with age, and stay between their bounds."""
    younger, older = sorted((one, other))
    short, long = (SCHEDULE.interval(State.PENDING, age) for age in (younger, older))
    assert SCHEDULE.shortest <= short <= long <= SCHEDULE.longest


@pytest.mark.parametrize(("failures", "expected"), [(1, 0.5), (2, 1), (5, 8), (6, 10), (5_000, 10)])
def test_an_outage_is_met_with_ever_longer_pauses(failures: int, expected: float) -> None:
    """Pauses double up to ten seconds, however long the outage lasts."""
    assert SCHEDULE.backoff.ceiling(failures) == expected


@pytest.mark.parametrize(
    ("overdue", "waited_enough", "expected"),
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
def test_what_does_not_fill_a_call_waits_for_company(
    overdue: int, waited_enough: bool, expected: int
) -> None:
    """Whole calls leave at once; the rest leaves when it has waited enough, in a call with room for others."""
    assert to_read(overdue, call_size=100, waited_enough=waited_enough) == expected

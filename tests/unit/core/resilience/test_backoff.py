"""Delays between attempts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.resilience.backoff import Backoff


@pytest.mark.parametrize(
    ("factor", "expected"), [(2, [0.5, 1, 2, 4, 8, 10, 10]), (4, [0.5, 2, 8, 10, 10, 10, 10])]
)
def test_the_ceiling_grows_up_to_the_longest_delay(factor: float, expected: list[float]) -> None:
    """Each failed attempt multiplies it by the factor."""
    backoff = Backoff(0.5, 10, factor)
    assert [backoff.ceiling(attempt) for attempt in range(1, 8)] == expected


@given(attempt=st.integers(1, 10**9))
def test_no_number_of_attempts_overflows(attempt: int) -> None:
    """An outage may last for days."""
    assert 0.5 <= Backoff(0.5, 30).ceiling(attempt) <= 30


@pytest.mark.parametrize("floor", [0, 0.5, 1])
def test_the_delay_is_spread_from_the_floor_to_the_ceiling(floor: float) -> None:
    """By default from 0; with a floor of 1 there is no jitter."""
    low, high = Backoff(1, 8, floor=floor, jitter=min), Backoff(1, 8, floor=floor, jitter=max)
    assert [low.delay(attempt) for attempt in (1, 2, 3)] == [floor, 2 * floor, 4 * floor]
    assert [high.delay(attempt) for attempt in (1, 2, 3)] == [1, 2, 4]


def test_a_seeded_source_makes_delays_repeatable() -> None:
    """For tests and simulations."""
    delays = [
        [Backoff(1, 8, jitter=random.Random(7).uniform).delay(attempt) for attempt in (1, 2, 3)]
        for _ in range(2)
    ]
    assert delays[0] == delays[1]


def test_a_delay_within_bounds_does_not_grow() -> None:
    """Its bounds are those that were given."""
    assert [Backoff.between(20, 40).ceiling(attempt) for attempt in (1, 9)] == [40, 40]
    assert all(20 <= Backoff.between(20, 40).delay(9) <= 40 for _ in range(100))

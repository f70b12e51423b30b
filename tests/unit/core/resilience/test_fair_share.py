"""Fair shares: alone a customer uses everything, a newcomer gets in, and memory stays bounded."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.resilience.fair_share import _MAX_WANTING, _WANTED_S, FairShare


@dataclass(slots=True)
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def pool(places: int, reserve: int | None = None, **held: int) -> FairShare:
    """Return a pool in which customers hold places, admitted or not."""
    shares = FairShare(places, reserve=reserve, clock=Clock())
    for customer, count in held.items():
        shares.hold(customer, count)
    return shares


@pytest.mark.parametrize(
    ("held", "customer", "admitted"),
    [
        ({}, "a", True),
        ({"a": 7}, "a", True),
        ({"a": 8}, "a", False),
        ({"a": 8}, "b", True),
        ({"a": 8, "b": 1}, "b", True),
        ({"a": 8, "b": 2}, "b", False),  # below its share of 4, but the reserve of 2 is used
        ({"a": 5, "b": 3}, "b", True),
        ({"a": 4, "b": 4}, "b", False),
        ({"a": 4, "b": 4}, "a", False),
        ({"a": 4, "b": 4}, "c", True),
        ({"a": 2, "b": 5}, "b", True),  # work-conserving: a place is free
        ({"a": 5, "b": 2, "c": 1}, "a", False),
        ({"a": 5, "b": 2, "c": 1}, "c", True),
    ],
)
def test_who_is_admitted(held: dict[str, int], customer: str, admitted: bool) -> None:
    """Of eight places with a reserve of two."""
    assert pool(8, **held).take(customer) is admitted


@pytest.mark.parametrize(
    ("places", "reserve", "most"),
    [(8, None, 10), (64, None, 72), (1, None, 3), (8, 0, 8), (8, 8, 16)],
)
def test_the_reserve_bounds_the_pool(places: int, reserve: int | None, most: int) -> None:
    """Any number of customers hold at most the places and the reserve."""
    shares = FairShare(places, reserve=reserve)
    for number in range(100):
        shares.take(f"customer-{number}")
    assert shares.total == most


@pytest.mark.parametrize("units", [1, 4, 100])
def test_alone_a_customer_uses_all_places(units: int) -> None:
    """Also if it takes several at once; a request that does not fit into places and reserve is not admitted."""
    shares = FairShare(100)
    while shares.take("a", units):
        pass
    assert shares.total == 100
    assert not FairShare(10).take("a", 13)


def test_the_customer_above_its_share_gets_nothing_until_there_is_room() -> None:
    """While the pool is full, places that it releases go to the others."""
    shares = pool(8, a=8)
    assert shares.take("b")
    assert shares.take("b")
    for _ in range(2):
        shares.release("a")
        assert not shares.take("a")
        assert shares.take("b")
    assert (shares.held_by("a"), shares.held_by("b")) == (6, 4)
    for _ in range(3):
        shares.release("a")
    assert shares.take("a")


def test_a_customer_that_was_not_admitted_has_a_share_for_a_while() -> None:
    """It is forgotten after a few seconds, or when it holds a place."""
    clock = Clock()
    shares = FairShare(12, reserve=0, clock=clock)
    shares.hold("a", 12)
    assert shares.share("a") == 12
    assert not shares.take("b")
    assert (shares.share("a"), shares.share("b"), shares.share("c")) == (6, 6, 4)
    clock.now += _WANTED_S + 0.1
    assert shares.share("a") == 12
    assert not shares.take("b")
    shares.release("a")
    assert shares.take("b")
    shares.release("b")
    assert shares.share("a") == 12


def test_memory_is_bounded() -> None:
    """Customers that hold nothing are forgotten, and few of those that want places are remembered."""
    shares = pool(1, 0, a=1)
    for number in range(2 * _MAX_WANTING):
        assert not shares.take(f"customer-{number}")
    assert len(shares._wanting) == _MAX_WANTING
    shares.release("a")
    assert (shares.total, shares._held) == (0, {})


@given(st.lists(st.tuples(st.sampled_from("abcde"), st.booleans()), max_size=300))
def test_with_a_reserve_of_all_places_no_customer_below_its_share_is_refused(
    steps: list[tuple[str, bool]],
) -> None:
    """For at most as many customers as places."""
    shares = FairShare(5, reserve=5, clock=Clock())
    for customer, takes in steps:
        if takes:
            below = shares.held_by(customer) < shares.share(customer)
            assert shares.take(customer) or not below
        elif shares.held_by(customer):
            shares.release(customer)
        assert shares.total <= 10

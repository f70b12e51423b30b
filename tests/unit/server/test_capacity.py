"""Capacity: who is refused, with which error, and how it is counted."""

import pytest
from prometheus_client import REGISTRY

from core.errors import Overloaded
from server.capacity import Capacity
from server.errors import Reason, TooManyWatched, to_rpc_error


def refused(kind: str, reason: str) -> float:
    labels = {"kind": kind, "reason": reason}
    return REGISTRY.get_sample_value("refused_places_total", labels) or 0.0


def test_a_customer_beyond_its_share_is_refused_first() -> None:
    """Alone it has all places; another customer gets its share beside them, and a retry delay is in every refusal."""
    capacity = Capacity("lists", 4)
    before = refused("lists", "share"), refused("lists", "full")
    for _ in range(4):
        capacity.require("greedy")
    for customer in ("b", "b"):
        capacity.require(customer)
    for customer in ("greedy", "b"):
        with pytest.raises(Overloaded) as refusal:
            capacity.require(customer)
        assert to_rpc_error(refusal.value).retry_after is not None
    assert (refused("lists", "share"), refused("lists", "full")) == (before[0] + 2, before[1])


def test_a_customer_is_refused_if_even_the_reserve_is_used() -> None:
    """This takes more customers than places."""
    capacity = Capacity("searches", 1)
    before = refused("searches", "full")
    capacity.require("a")
    capacity.require("b")
    with pytest.raises(Overloaded, match="already has 2 searches"):
        capacity.require("c")
    assert refused("searches", "full") == before + 1


def test_the_error_is_that_of_the_kind() -> None:
    """Callers of watches get a reason of their own."""
    capacity = Capacity("watched requests", 2, error=TooManyWatched)
    capacity.require("a", 2)
    with pytest.raises(
        TooManyWatched, match="already has 2 watched requests of this customer"
    ) as refusal:
        capacity.require("a", 1)
    assert to_rpc_error(refusal.value).reason is Reason.TOO_MANY_WATCHED


def test_a_slot_is_free_again_when_its_call_ends() -> None:
    """With or without an error."""
    capacity = Capacity("lists", 1)
    with pytest.raises(ZeroDivisionError), capacity.slot("a"):
        raise ZeroDivisionError
    with capacity.slot("a"), pytest.raises(Overloaded), capacity.slot("a"):
        pass
    assert capacity.total == 0

"""Customers take turns in a queue, and the items of each keep their order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.resilience.fair_queue import FairQueue, Line


class Customers:
    """A queue with a line for each customer. An item is the customer and a number."""

    def __init__(self) -> None:
        self.queue = FairQueue[tuple[str, int]]()
        self.lines: dict[str, Line[tuple[str, int]]] = {}

    def line(self, customer_id: str) -> Line[tuple[str, int]]:
        return self.lines.setdefault(customer_id, Line())

    def append(self, customer_id: str, number: int) -> None:
        self.queue.append(self.line(customer_id), (customer_id, number))

    def take_all(self) -> list[tuple[str, int]]:
        return [self.queue.popleft() for _ in range(self.queue.length)]


@pytest.mark.parametrize(
    ("arrival", "order"),
    [("aaaa", "aaaa"), ("aaaab", "abaaa"), ("aaabbc", "abcaba"), ("abab", "abab"), ("", "")],
)
def test_customers_take_turns(arrival: str, order: str) -> None:
    customers = Customers()
    for number, customer_id in enumerate(arrival):
        customers.append(customer_id, number)
    assert "".join(customer_id for customer_id, _ in customers.take_all()) == order


def test_an_item_that_was_put_back_is_the_next_one() -> None:
    """Whether or not its customer has others."""
    customers = Customers()
    for number, customer_id in enumerate("ab"):
        customers.append(customer_id, number)
    first = customers.queue.popleft()
    customers.queue.appendleft(customers.line("a"), first)
    assert customers.take_all() == [("a", 0), ("b", 1)]


@given(st.lists(st.one_of(st.sampled_from("aaabc"), st.none()), max_size=60))
def test_each_item_is_taken_once_and_in_the_order_of_its_customer(
    steps: list[str | None],
) -> None:
    """A step adds an item of a customer, or takes one."""
    customers = Customers()
    taken: list[tuple[str, int]] = []
    for number, customer_id in enumerate(steps):
        if customer_id is not None:
            customers.append(customer_id, number)
        elif customers.queue.length:
            taken.append(customers.queue.popleft())
    taken += customers.take_all()
    for each in "abc":
        added = [(each, number) for number, step in enumerate(steps) if step == each]
        assert [item for item in taken if item[0] == each] == added

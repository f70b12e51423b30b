"""Reservations of a budget of bytes."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.byte_budget import ByteBudget


class Borrower:
    """Holds a reservation in a task of its own until `end`."""

    def __init__(self, budget: ByteBudget, size: int, customer_id: str = "") -> None:
        self._end = asyncio.Event()
        self.holds = False
        self.task = asyncio.create_task(self._run(budget, size, customer_id))

    async def _run(self, budget: ByteBudget, size: int, customer_id: str) -> None:
        async with budget.reserve(size, customer_id):
            self.holds = True
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task


async def settle() -> None:
    """Let every task run until it waits. None of them needs five turns of the event loop."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_bytes_are_reserved_until_the_end_of_the_block() -> None:
    """They are free again at once, also if the block raises."""
    budget = ByteBudget(100)
    with contextlib.suppress(LookupError):
        async with budget.reserve(60):
            assert budget.free == 40
            raise LookupError
    assert budget.free == 100


async def test_a_large_request_is_not_overtaken() -> None:
    """First come, first served: small requests wait behind a large one, so that it does not starve."""
    budget = ByteBudget(100)
    holder = Borrower(budget, 60)
    large = Borrower(budget, 90)
    small = Borrower(budget, 10)
    await settle()
    assert (holder.holds, large.holds, small.holds) == (True, False, False)
    await holder.end()
    await settle()
    assert (large.holds, small.holds) == (True, True)
    await large.end()
    await small.end()


async def test_shrinking_admits_the_next_reservation() -> None:
    """A body may be smaller than its reservation."""
    budget = ByteBudget(100)
    async with budget.reserve(100) as reservation:
        waiting = Borrower(budget, 70)
        await settle()
        assert not waiting.holds
        reservation.shrink(30)
        await settle()
        assert waiting.holds
        await waiting.end()
    assert budget.free == 100


async def test_a_reservation_never_grows() -> None:
    """Shrinking to a larger size has no effect."""
    budget = ByteBudget(100)
    async with budget.reserve(10) as reservation:
        reservation.shrink(50)
        assert budget.free == 90


async def test_a_returned_reservation_can_be_taken_again() -> None:
    """Its holder may have to wait for something else meanwhile."""
    budget = ByteBudget(100)
    with budget.reserve(60) as reservation:
        assert budget.free == 100
        for _ in range(2):
            await reservation.acquire()
            assert budget.free == 40
            reservation.shrink(0)
            assert budget.free == 100
        await reservation.acquire()
    assert budget.free == 100


async def test_the_reserve_is_for_customers_that_hold_less_than_their_share() -> None:
    """One customer that holds all it may, and waits for more, delays no other one."""
    budget = ByteBudget(100, reserve=60)
    first = [Borrower(budget, 50, "a") for _ in range(4)]
    await settle()
    assert [each.holds for each in first] == [True, True, False, False]
    second = [Borrower(budget, 30, "b"), Borrower(budget, 20, "b"), Borrower(budget, 10, "b")]
    await settle()
    assert [each.holds for each in second] == [True, True, False]
    assert budget.free == 10
    for each in (*first, *second):
        await each.end()
    assert budget.free == 160


async def test_returned_bytes_go_to_the_customer_that_holds_the_fewest() -> None:
    """Of customers that hold equally many bytes, the one that has waited longest comes first."""
    budget = ByteBudget(100)
    holders = [Borrower(budget, 50, "a"), Borrower(budget, 40, "a"), Borrower(budget, 10, "b")]
    await settle()
    waiting = [Borrower(budget, 40, name) for name in ("a", "b", "c", "d")]
    await settle()
    await holders[1].end()
    await settle()
    assert [each.holds for each in waiting] == [False, False, True, False]
    await holders[0].end()
    await settle()
    assert [each.holds for each in waiting] == [True, False, True, False]
    for each in (holders[2], *waiting):
        await each.end()
    assert budget.free == 100


async def test_a_cancelled_request_leaves_the_queue() -> None:
    """The requests behind it are admitted."""
    budget = ByteBudget(100)
    holder = Borrower(budget, 50)
    cancelled = Borrower(budget, 80)
    behind = Borrower(budget, 50)
    await settle()
    cancelled.task.cancel()
    await settle()
    assert behind.holds
    await holder.end()
    await behind.end()
    assert budget.free == 100


async def test_a_grant_to_a_cancelled_task_is_not_lost() -> None:
    """The task may be cancelled in the same turn of the event loop in which its bytes are granted."""
    budget = ByteBudget(100)
    async with budget.reserve(100):
        granted = Borrower(budget, 100)
        await settle()
    assert budget.free == 0
    granted.task.cancel()
    await settle()
    assert not granted.holds
    assert budget.free == 100


async def test_more_than_the_whole_budget_is_refused_at_once() -> None:
    """Otherwise it would wait for ever."""
    with pytest.raises(ValueError, match="never fit"):
        async with ByteBudget(100).reserve(101):
            pass


@given(
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from("abc")), max_size=30),
    st.integers(0, 100),
)
def test_every_request_is_served(requests: list[tuple[int, str]], reserve: int) -> None:
    """Any mix of sizes and customers stays within the budget, and ends with the whole budget free."""

    async def run() -> None:
        budget = ByteBudget(100, reserve=reserve)

        async def borrow(size: int, customer_id: str) -> None:
            async with budget.reserve(size, customer_id):
                assert 0 <= budget.free <= 100 + reserve - size
                await asyncio.sleep(0)

        await asyncio.gather(*(borrow(*request) for request in requests))
        assert budget.free == 100 + reserve

    asyncio.run(run())

"""Reservations of a budget of bytes."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.byte_budget import ByteBudget


class Borrower:
    """Holds a reservation in a task of its own until `end`."""

    def __init__(self, budget: ByteBudget, size: int) -> None:
        self._end = asyncio.Event()
        self.holds = False
        self.task = asyncio.create_task(self._run(budget, size))

    async def _run(self, budget: ByteBudget, size: int) -> None:
        async with budget.reserve(size):
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


@given(st.lists(st.integers(0, 100), max_size=30))
def test_every_request_is_served(sizes: list[int]) -> None:
    """Any mix of sizes stays within the budget, and ends with the whole budget free."""

    async def run() -> None:
        budget = ByteBudget(100)

        async def borrow(size: int) -> None:
            async with budget.reserve(size):
                assert 0 <= budget.free <= 100 - size
                await asyncio.sleep(0)

        await asyncio.gather(*map(borrow, sizes))
        assert budget.free == 100

    asyncio.run(run())

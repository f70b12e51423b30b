"""A bound on bytes held."""

import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.byte_budget import ByteBudget


class Borrower:
    """Holds a reservation in a task of its own until told to end."""

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
    """Let every task run until it waits; a handful of turns is more than any of them needs."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_bytes_are_lent_until_the_block_is_left() -> None:
    """A reservation counts while it is held and not a moment longer, also when its block fails."""
    budget = ByteBudget(100)
    with contextlib.suppress(LookupError):
        async with budget.reserve(60):
            assert budget.free == 40
            raise LookupError
    assert budget.free == 100


async def test_a_large_request_is_not_overtaken() -> None:
    """First come, first served: small requests behind a large one wait, so it cannot starve."""
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


async def test_shrinking_admits_whoever_waits() -> None:
    """Bytes reserved for a body that turned out smaller are lent to the next."""
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
    """Shrinking to more than is held changes nothing."""
    budget = ByteBudget(100)
    async with budget.reserve(10) as reservation:
        reservation.shrink(50)
        assert reservation.size == 10
        assert budget.free == 90


async def test_whoever_gives_up_waiting_makes_room() -> None:
    """A cancelled request leaves the queue, and those behind it go on."""
    budget = ByteBudget(100)
    holder = Borrower(budget, 50)
    impatient = Borrower(budget, 80)
    behind = Borrower(budget, 50)
    await settle()
    impatient.task.cancel()
    await settle()
    assert behind.holds
    await holder.end()
    await behind.end()
    assert budget.free == 100


async def test_a_grant_to_a_cancelled_task_is_not_lost() -> None:
    """Cancelled in the very turn in which it was granted, it gives its bytes back."""
    budget = ByteBudget(100)
    async with budget.reserve(100):
        unlucky = Borrower(budget, 100)
        await settle()
    assert budget.free == 0
    unlucky.task.cancel()
    await settle()
    assert not unlucky.holds
    assert budget.free == 100


async def test_more_than_the_whole_budget_is_refused_at_once() -> None:
    """It could only wait for ever."""
    with pytest.raises(ValueError, match="never fit"):
        async with ByteBudget(100).reserve(101):
            pass


@given(st.lists(st.integers(0, 100), max_size=30))
def test_everybody_is_served_whatever_the_sizes(sizes: list[int]) -> None:
    """Any mixture of sizes comes to an end with the whole budget free, and never exceeds it."""

    async def run() -> None:
        budget = ByteBudget(100)

        async def borrow(size: int) -> None:
            async with budget.reserve(size):
                assert 0 <= budget.free <= 100 - size
                await asyncio.sleep(0)

        await asyncio.gather(*map(borrow, sizes))
        assert budget.free == 100

    asyncio.run(run())

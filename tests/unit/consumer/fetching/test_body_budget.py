"""Reservations of memory for bodies."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.body_budget import SMALL_BODY_BYTES, BodyBudget

LARGE = SMALL_BODY_BYTES + 1
CAPACITY = 4 * LARGE


@pytest.mark.parametrize("declared", [None, LARGE], ids=["undeclared", "large"])
async def test_a_small_body_waits_for_no_large_one(declared: int | None) -> None:
    """Large bodies hold at most half while they arrive, and small ones do not queue behind them."""
    budget = BodyBudget(CAPACITY, max_bytes=LARGE)
    end = asyncio.Event()

    async def drip() -> None:
        async with budget.reserve(declared):
            await end.wait()

    dripping = [asyncio.create_task(drip()) for _ in range(10)]
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
        async with budget.reserve(SMALL_BODY_BYTES) as small:
            assert small.size == SMALL_BODY_BYTES
            assert budget.free == CAPACITY - 2 * LARGE - SMALL_BODY_BYTES
    end.set()
    await asyncio.gather(*dripping)
    assert budget.free == CAPACITY


async def test_a_large_body_that_has_arrived_frees_space_for_the_next() -> None:
    """Only bodies that still arrive count as large. Bytes that arrived count in the whole budget only."""
    budget = BodyBudget(2 * LARGE, max_bytes=LARGE)
    async with budget.reserve(None) as first:
        first.shrink(10)
        assert budget.free == 2 * LARGE - 10
        async with asyncio.timeout(60), budget.reserve(None) as second:
            assert second.size == LARGE
    assert budget.free == 2 * LARGE


@given(st.lists(st.none() | st.integers(0, LARGE), max_size=30), st.integers(LARGE, CAPACITY))
def test_every_mix_of_sizes_is_served(sizes: list[int | None], capacity: int) -> None:
    """Any mix of declared and unknown sizes ends with the whole budget free."""

    async def run() -> None:
        budget = BodyBudget(capacity, max_bytes=LARGE)

        async def receive(declared: int | None) -> None:
            async with budget.reserve(declared) as reservation:
                await asyncio.sleep(0)
                reservation.shrink(reservation.size // 2)
                await asyncio.sleep(0)

        async with asyncio.timeout(60):
            await asyncio.gather(*map(receive, sizes))
        assert budget.free == capacity

    asyncio.run(run())


@pytest.mark.parametrize(
    ("capacity", "declared", "reserved"),
    [(100, None, 30), (100, 4, 24), (40, None, 30), (35, None, 25), (35, 1, 21), (10, 4, 10)],
)
async def test_a_body_that_is_decoded_reserves_memory_for_that(
    capacity: int, declared: int | None, reserved: int
) -> None:
    """As far as one customer may use the budget. Then only its own bytes stay reserved."""
    budget = BodyBudget(capacity, max_bytes=10)
    assert budget.fits(declared, decoding=20)
    reservation = budget.reserve(declared, decoding=20)
    await reservation.acquire()
    assert budget.free == capacity - reserved
    reservation.shrink(5)
    assert budget.free == capacity - 5
    reservation.shrink(0)
    assert budget.free == capacity


async def test_a_small_body_that_is_decoded_counts_as_a_large_one() -> None:
    """Slow origins with many of them would make bodies wait that are not coded. Another customer has its reserve."""
    largest = 4 * SMALL_BODY_BYTES
    budget = BodyBudget(4 * largest, max_bytes=largest)
    for _ in range(2):
        await budget.reserve(10, "flood", decoding=largest).acquire()
    assert not budget.fits(10, "flood", decoding=largest)
    assert budget.fits(SMALL_BODY_BYTES, "flood")
    assert budget.fits(10, "other", decoding=largest)

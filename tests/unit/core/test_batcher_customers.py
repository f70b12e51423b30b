"""A customer with many items in a batcher does not delay those with few, and alone costs no further call."""

import asyncio
from collections.abc import Sequence

import pytest

from core.batcher import Batcher, ItemResult, Ok, Retry
from harness.virtual_time import run_virtually

MAX_BATCH = 4
CALL_S = 0.1
Item = str
"""The first letter is the customer."""


class Backend:
    """Records the batches with the time of each. Items in `throttled` have to be retried once."""

    def __init__(self, *throttled: Item) -> None:
        self.batches: list[tuple[float, list[Item]]] = []
        self.throttled = set(throttled)

    async def commit(self, batch: Sequence[Item]) -> Sequence[ItemResult[Item]]:
        self.batches.append((round(asyncio.get_running_loop().time(), 3), list(batch)))
        await asyncio.sleep(CALL_S)
        return [self._result(item) for item in batch]

    def _result(self, item: Item) -> ItemResult[Item]:
        if item in self.throttled:
            self.throttled.remove(item)
            return Retry("throttled")
        return Ok(item)


def batcher_of(backend: Backend, *, quick: bool = True) -> Batcher[Item, Item]:
    return Batcher("test", backend.commit, max_batch=MAX_BATCH, max_flushes=1, quick=quick)


def submit(batcher: Batcher[Item, Item], *items: Item) -> list[asyncio.Future[Item]]:
    return [batcher.submit_nowait(item, item[0]) for item in items]


def of(customer_id: str, count: int) -> list[Item]:
    return [f"{customer_id}{number}" for number in range(count)]


def test_an_item_beside_a_busy_customer_has_a_call_of_its_own() -> None:
    """It waits neither for the calls in flight nor for the items that came before it."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        busy = submit(batcher, *of("a", 12))
        await asyncio.sleep(CALL_S / 2)
        assert await submit(batcher, "b0")[0] == "b0"
        assert asyncio.get_running_loop().time() < 2 * CALL_S
        assert (CALL_S / 2, ["b0"]) in backend.batches
        await asyncio.gather(*busy)

    run_virtually(scenario())


def test_items_beside_a_busy_customer_share_one_call_at_a_time() -> None:
    """So many customers with few items cost at most one further call at any time."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        futures = submit(batcher, *of("a", 20), "b0")
        await asyncio.sleep(CALL_S / 2)
        futures += submit(batcher, "c0", "d0", "e0", "f0", "g0")
        await asyncio.gather(*futures)
        few = [items for _, items in backend.batches if items[0][0] != "a"]
        assert few == [["b0"], ["c0", "d0", "e0", "f0"], ["g0"]]

    run_virtually(scenario())


def test_without_quick_calls_an_item_has_a_place_in_the_next_batch() -> None:
    """Calls that have a price are not divided."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend, quick=False)
        futures = submit(batcher, *of("a", 20))
        await asyncio.sleep(CALL_S / 2)
        futures += submit(batcher, "b0")
        await asyncio.gather(*futures)
        batches = [items for _, items in backend.batches]
        assert [len(items) for items in batches] == [4, 4, 4, 4, 4, 1]
        assert "b0" in batches[1]

    run_virtually(scenario())


@pytest.mark.parametrize("quick", [False, True])
def test_two_busy_customers_take_turns(quick: bool) -> None:
    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend, quick=quick)
        futures = submit(batcher, *of("a", 40), *of("c", 12))
        await asyncio.gather(*futures)
        order = [item for _, items in backend.batches for item in items]
        last = order.index("c11")
        assert sum(item[0] == "a" for item in order[:last]) <= 16

    run_virtually(scenario())


def test_a_customer_alone_costs_no_further_call() -> None:
    async def scenario() -> None:
        backend = Backend()
        await asyncio.gather(*submit(batcher_of(backend), *of("a", 6)))
        assert [len(items) for _, items in backend.batches] == [4, 2]

    run_virtually(scenario())


def test_customers_with_few_items_share_their_calls() -> None:
    """As long as none of them holds a whole batch."""

    async def scenario() -> None:
        backend = Backend()
        await asyncio.gather(*submit(batcher_of(backend), "a0", "b0", "c0", "d0", "e0", "f0"))
        assert [len(items) for _, items in backend.batches] == [4, 2]

    run_virtually(scenario())


def test_a_throttled_item_beside_a_busy_customer_is_retried() -> None:
    async def scenario() -> None:
        backend = Backend("b0")
        batcher = batcher_of(backend)
        futures = submit(batcher, *of("a", 8), "b0")
        await batcher.drain()
        assert [future.result() for future in futures] == [*of("a", 8), "b0"]
        assert [items for _, items in backend.batches].count(["b0"]) == 2

    run_virtually(scenario())


def test_no_customer_is_busy_after_its_items_are_cancelled() -> None:
    """Then others share their calls again."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        for future in submit(batcher, *of("a", 8)):
            future.cancel()
        await batcher.drain()
        await asyncio.gather(*submit(batcher, "b0", "c0"))
        assert backend.batches[-1][1] == ["b0", "c0"]

    run_virtually(scenario())

"""The batcher sends pending items together, and resolves each item once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batcher import Batcher, Failed, ItemResult, Ok, Retry
from core.errors import DependencyUnavailable, Overloaded, RequestRejected
from harness.virtual_time import run_virtually

MAX_BATCH = 4
MAX_ATTEMPTS = 3


class Rejected(RequestRejected):
    """The backend's error for a faulty item."""

    def __init__(self, code: str) -> None:
        super().__init__("commit", code, "")


@dataclass(frozen=True)
class Item:
    """`script` has the result of each attempt; the attempt after the script succeeds."""

    name: int
    key: int
    script: tuple[str, ...] = ()
    begins: float = 0.0
    cancelled_after: float | None = None


@dataclass
class Backend:
    """Follows the items' scripts and records the batches."""

    seconds: float = 0.1
    batches: list[list[Item]] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    committed: Counter[int] = field(default_factory=Counter)

    async def commit(self, batch: Sequence[Item]) -> Sequence[ItemResult[int]]:
        self.batches.append(list(batch))
        await asyncio.sleep(self.seconds)
        if any("poison" in item.script for item in batch):
            raise Rejected("poison")
        return [self._result(item) for item in batch]

    def _result(self, item: Item) -> ItemResult[int]:
        attempt = self.attempts[item.name]
        self.attempts[item.name] += 1
        match item.script[attempt : attempt + 1]:
            case ("retry",):
                return Retry("throttled")
            case ("failed",):
                return Failed(Rejected(str(item.name)))
        self.committed[item.name] += 1
        return Ok(item.name)


def batcher_of(backend: Backend, **bounds: Any) -> Batcher[Item, int]:
    return Batcher(
        "test",
        backend.commit,
        max_batch=MAX_BATCH,
        max_attempts=MAX_ATTEMPTS,
        key=lambda item: item.key,
        **bounds,
    )


async def result(batcher: Batcher[Item, int], item: Item) -> int | str:
    """Return what the caller of one item gets: the value, or the name of the error."""
    await asyncio.sleep(item.begins)
    try:
        async with asyncio.timeout(item.cancelled_after):
            return await batcher.submit(item)
    except (Rejected, DependencyUnavailable, Overloaded, TimeoutError) as error:
        return type(error).__name__


def expected(item: Item) -> int | str:
    if "poison" in item.script:
        return "Rejected"
    tried = item.script[:MAX_ATTEMPTS]
    if "failed" in tried:
        return "Rejected"
    return "DependencyUnavailable" if tried == ("retry",) * MAX_ATTEMPTS else item.name


times = st.floats(0, 1).map(lambda time: round(time, 2))
scripts = st.one_of(
    st.just(("poison",)),
    st.builds(
        lambda retries, end: ("retry",) * retries + end,
        st.integers(0, MAX_ATTEMPTS + 1),
        st.sampled_from([(), ("failed",)]),
    ),
)


@st.composite
def item_lists(draw: st.DrawFn) -> list[Item]:
    count = draw(st.integers(1, 30))
    return [
        Item(
            name=name,
            key=draw(st.integers(0, 8)),
            script=draw(st.one_of(st.just(()), scripts)),
            begins=draw(times),
            cancelled_after=draw(st.one_of(st.none(), times)),
        )
        for name in range(count)
    ]


@given(item_lists(), st.integers(1, 4), times)
def test_every_caller_gets_the_result_of_its_own_item(
    items: list[Item], max_flushes: int, seconds: float
) -> None:
    """With throttled, failed and cancelled items, each caller gets one result, that of its own item."""

    async def scenario() -> None:
        backend = Backend(seconds)
        batcher = batcher_of(backend, max_flushes=max_flushes)
        results = await asyncio.gather(*(result(batcher, item) for item in items))
        await batcher.drain()
        for item, got in zip(items, results, strict=True):
            allowed = {expected(item), "TimeoutError"}
            assert got in (allowed if item.cancelled_after is not None else {expected(item)})
        assert all(len(batch) <= MAX_BATCH for batch in backend.batches)
        for batch in backend.batches:
            assert len({item.key for item in batch}) == len(batch)
        assert all(count <= MAX_ATTEMPTS for count in backend.attempts.values())
        assert all(count == 1 for count in backend.committed.values())
        done = {got for got in results if isinstance(got, int)}
        assert done <= backend.committed.keys()

    run_virtually(scenario())


def test_an_idle_batcher_flushes_at_once() -> None:
    """A lone item is committed without a timer, so a quiet process adds no delay."""

    async def scenario() -> None:
        batcher = batcher_of(Backend(seconds=0))
        await batcher.submit(Item(0, 0))
        assert asyncio.get_running_loop().time() == 0

    run_virtually(scenario())


@given(st.lists(st.integers(0, 12), max_size=40), st.integers(1, 3))
def test_no_batch_exceeds_the_bytes_of_a_call(sizes: list[int], max_flushes: int) -> None:
    """Every item is committed once, in order with one call at a time; an item above the limit goes alone."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(
            backend, max_flushes=max_flushes, max_bytes=10, size=lambda item: sizes[item.name]
        )
        items = [Item(name, name) for name in range(len(sizes))]
        assert await asyncio.gather(*map(batcher.submit, items)) == list(range(len(sizes)))
        for batch in backend.batches:
            assert len(batch) == 1 or sum(sizes[item.name] for item in batch) <= 10
        assert [item for batch in backend.batches for item in batch] == items

    run_virtually(scenario())


def test_items_submitted_during_a_flush_share_the_next_one() -> None:
    """While a call is in flight, further items are collected."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        items = [Item(0, 0), *(Item(name, name, begins=0.05) for name in range(1, 4))]
        await asyncio.gather(*(result(batcher, item) for item in items))
        assert [len(batch) for batch in backend.batches] == [1, 3]

    run_virtually(scenario())


def test_a_further_flush_starts_only_for_a_whole_batch() -> None:
    """A second call starts as soon as a whole batch is pending, up to `max_flushes`."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend, max_flushes=2)
        first = asyncio.create_task(batcher.submit(Item(0, 0)))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(batcher.submit(Item(n, n))) for n in range(1, MAX_BATCH)]
        await asyncio.sleep(0.01)
        assert len(backend.batches) == 1
        others += [asyncio.create_task(batcher.submit(Item(n, n))) for n in range(10, 30)]
        await asyncio.sleep(0.01)
        assert [len(batch) for batch in backend.batches] == [1, MAX_BATCH]
        await asyncio.gather(first, *others)

    run_virtually(scenario())


def test_a_full_batcher_raises_overloaded() -> None:
    """Submits beyond `max_pending` fail at once; earlier items are committed."""

    async def scenario() -> None:
        batcher = batcher_of(Backend(), max_pending=5, max_flushes=1)
        accepted = MAX_BATCH + 5
        results = await asyncio.gather(*(result(batcher, Item(n, n)) for n in range(accepted + 3)))
        assert results == [*range(accepted), *["Overloaded"] * 3]

    run_virtually(scenario())


def test_a_pending_item_of_a_cancelled_caller_is_dropped() -> None:
    """It is never committed."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        first = asyncio.create_task(batcher.submit(Item(0, 0)))
        await asyncio.sleep(0.01)
        cancelled = await result(batcher, Item(1, 1, cancelled_after=0.01))
        assert (await first, cancelled) == (0, "TimeoutError")
        await batcher.drain()
        assert backend.committed.keys() == {0}

    run_virtually(scenario())


def test_an_item_in_flight_of_a_cancelled_caller_is_committed() -> None:
    """Although no caller waits for it."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        assert await result(batcher, Item(0, 0, cancelled_after=0.05)) == "TimeoutError"
        await batcher.drain()
        assert backend.committed.keys() == {0}

    run_virtually(scenario())


def test_a_rejected_batch_is_sent_item_by_item() -> None:
    """Only the faulty item fails, with the error of the backend."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend)
        items = [Item(0, 0), Item(1, 1, ("poison",)), Item(2, 2)]
        results = await asyncio.gather(*(result(batcher, item) for item in items))
        assert results == [0, "Rejected", 2]
        assert [len(batch) for batch in backend.batches] == [3, 1, 1, 1]

    run_virtually(scenario())


@pytest.mark.parametrize("error", [DependencyUnavailable("down"), ZeroDivisionError("a fault")])
def test_a_failed_call_fails_all_of_its_items(error: Exception) -> None:
    """Each caller gets the error, and the next item is committed."""

    async def scenario() -> None:
        failing = True

        async def commit(batch: Sequence[int]) -> Sequence[ItemResult[int]]:
            await asyncio.sleep(0)
            if failing:
                raise error
            return [Ok(item) for item in batch]

        batcher: Batcher[int, int] = Batcher("test", commit, max_batch=MAX_BATCH)
        results = await asyncio.gather(
            *(batcher.submit(n) for n in range(3)), return_exceptions=True
        )
        assert results == [error] * 3
        failing = False
        assert await batcher.submit(7) == 7

    run_virtually(scenario())


def test_too_few_results_fail_every_item() -> None:
    """No caller waits for ever for a result that the backend left out."""

    async def scenario() -> None:
        async def commit(batch: Sequence[int]) -> Sequence[ItemResult[int]]:
            await asyncio.sleep(0)
            return [Ok(item) for item in batch[1:]]

        batcher: Batcher[int, int] = Batcher("test", commit, max_batch=MAX_BATCH)
        results = await asyncio.gather(
            *(batcher.submit(n) for n in range(3)), return_exceptions=True
        )
        assert [type(got) for got in results] == [ValueError] * 3

    run_virtually(scenario())


def test_drain_waits_for_all_submitted_items() -> None:
    """Once it returns, no item is pending and no call is in flight."""

    async def scenario() -> None:
        backend = Backend()
        batcher = batcher_of(backend, max_flushes=1)
        submits = [
            asyncio.create_task(batcher.submit(Item(n, n, ("retry",) * (n % 2)))) for n in range(20)
        ]
        await asyncio.sleep(0)
        await batcher.drain()
        assert len(backend.committed) == 20
        assert await asyncio.gather(*submits) == list(range(20))

    run_virtually(scenario())

"""Items that wait together are committed together, and each of them is answered once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.batcher import Again, Batcher, BatchRejected, Done, Outcome, Refused
from core.errors import DependencyUnavailable, Overloaded
from harness.virtual_time import run_virtually

MAX_BATCH = 4
MAX_ATTEMPTS = 3


class Rejected(Exception):
    """What a backend says of an item that is at fault."""


@dataclass(frozen=True)
class Item:
    """`script` is what becomes of it at each attempt; after its end it is done."""

    name: int
    key: int
    script: tuple[str, ...] = ()
    begins: float = 0.0
    cancelled_after: float | None = None


@dataclass
class Backend:
    """Answers by the items' scripts and writes down what it was given."""

    seconds: float = 0.1
    batches: list[list[Item]] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    committed: Counter[int] = field(default_factory=Counter)

    async def commit(self, batch: Sequence[Item]) -> Sequence[Outcome[int]]:
        self.batches.append(list(batch))
        await asyncio.sleep(self.seconds)
        if any("poison" in item.script for item in batch):
            raise BatchRejected from Rejected("poison")
        return [self._outcome(item) for item in batch]

    def _outcome(self, item: Item) -> Outcome[int]:
        attempt = self.attempts[item.name]
        self.attempts[item.name] += 1
        match item.script[attempt : attempt + 1]:
            case ("again",):
                return Again("throttled")
            case ("refused",):
                return Refused(Rejected(str(item.name)))
        self.committed[item.name] += 1
        return Done(item.name)


def commits_of(backend: Backend, **bounds: Any) -> Batcher[Item, int]:
    return Batcher(
        "test",
        backend.commit,
        max_batch=MAX_BATCH,
        max_attempts=MAX_ATTEMPTS,
        key=lambda item: item.key,
        **bounds,
    )


async def answer(commits: Batcher[Item, int], item: Item) -> int | str:
    """What the caller of one item gets: its value, or the error's name."""
    await asyncio.sleep(item.begins)
    try:
        async with asyncio.timeout(item.cancelled_after):
            return await commits.submit(item)
    except (Rejected, DependencyUnavailable, Overloaded, TimeoutError) as error:
        return type(error).__name__


def expected(item: Item) -> int | str:
    if "poison" in item.script:
        return "Rejected"
    tried = item.script[:MAX_ATTEMPTS]
    if "refused" in tried:
        return "Rejected"
    return "DependencyUnavailable" if tried == ("again",) * MAX_ATTEMPTS else item.name


moments = st.floats(0, 1).map(lambda moment: round(moment, 2))
scripts = st.one_of(
    st.just(("poison",)),
    st.builds(
        lambda again, end: ("again",) * again + end,
        st.integers(0, MAX_ATTEMPTS + 1),
        st.sampled_from([(), ("refused",)]),
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
            begins=draw(moments),
            cancelled_after=draw(st.one_of(st.none(), moments)),
        )
        for name in range(count)
    ]


@given(item_lists(), st.integers(1, 4), moments)
def test_every_caller_gets_its_own_items_outcome(
    items: list[Item], max_flushes: int, seconds: float
) -> None:
    """Whatever waits, is throttled, refused or cancelled: each caller hears once, and of its own item."""

    async def scenario() -> None:
        backend = Backend(seconds)
        commits = commits_of(backend, max_flushes=max_flushes)
        answers = await asyncio.gather(*(answer(commits, item) for item in items))
        await commits.drain()
        for item, got in zip(items, answers, strict=True):
            allowed = {expected(item), "TimeoutError"}
            assert got in (allowed if item.cancelled_after is not None else {expected(item)})
        assert all(len(batch) <= MAX_BATCH for batch in backend.batches)
        for batch in backend.batches:
            assert len({item.key for item in batch}) == len(batch)
        assert all(count <= MAX_ATTEMPTS for count in backend.attempts.values())
        assert all(count == 1 for count in backend.committed.values())
        done = {got for got in answers if isinstance(got, int)}
        assert done <= backend.committed.keys()

    run_virtually(scenario())


def test_an_idle_commit_starts_at_once() -> None:
    """A lone item is committed without a timer, so a quiet process adds no delay."""

    async def scenario() -> None:
        commits = commits_of(Backend(seconds=0))
        await commits.submit(Item(0, 0))
        assert asyncio.get_running_loop().time() == 0

    run_virtually(scenario())


def test_what_comes_during_a_flush_shares_the_next_one() -> None:
    """While one call is under way the others gather, and go together."""

    async def scenario() -> None:
        backend = Backend()
        commits = commits_of(backend)
        items = [Item(0, 0), *(Item(name, name, begins=0.05) for name in range(1, 4))]
        await asyncio.gather(*(answer(commits, item) for item in items))
        assert [len(batch) for batch in backend.batches] == [1, 3]

    run_virtually(scenario())


def test_a_further_flush_starts_only_for_a_whole_batch() -> None:
    """Two calls run at once as soon as a whole batch waits, and no more than allowed."""

    async def scenario() -> None:
        backend = Backend()
        commits = commits_of(backend, max_flushes=2)
        first = asyncio.create_task(commits.submit(Item(0, 0)))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(commits.submit(Item(n, n))) for n in range(1, MAX_BATCH)]
        await asyncio.sleep(0.01)
        assert len(backend.batches) == 1
        others += [asyncio.create_task(commits.submit(Item(n, n))) for n in range(10, 30)]
        await asyncio.sleep(0.01)
        assert [len(batch) for batch in backend.batches] == [1, MAX_BATCH]
        await asyncio.gather(first, *others)

    run_virtually(scenario())


def test_a_full_list_refuses() -> None:
    """Beyond max_pending a caller is refused at once; those before it, and those under way, are served."""

    async def scenario() -> None:
        commits = commits_of(Backend(), max_pending=5, max_flushes=1)
        taken = MAX_BATCH + 5
        answers = await asyncio.gather(*(answer(commits, Item(n, n)) for n in range(taken + 3)))
        assert answers == [*range(taken), *["Overloaded"] * 3]

    run_virtually(scenario())


def test_a_caller_that_leaves_in_time_takes_its_item_back() -> None:
    """An item that still waits when its caller is cancelled is never committed."""

    async def scenario() -> None:
        backend = Backend()
        commits = commits_of(backend)
        first = asyncio.create_task(commits.submit(Item(0, 0)))
        await asyncio.sleep(0.01)
        left = await answer(commits, Item(1, 1, cancelled_after=0.01))
        assert (await first, left) == (0, "TimeoutError")
        await commits.drain()
        assert backend.committed.keys() == {0}

    run_virtually(scenario())


def test_a_caller_that_leaves_late_leaves_its_item() -> None:
    """An item that was taken is committed though nobody waits for it."""

    async def scenario() -> None:
        backend = Backend()
        commits = commits_of(backend)
        assert await answer(commits, Item(0, 0, cancelled_after=0.05)) == "TimeoutError"
        await commits.drain()
        assert backend.committed.keys() == {0}

    run_virtually(scenario())


def test_a_refused_batch_is_sent_item_by_item() -> None:
    """A request-level refusal hits only the item that is to blame, with the backend's own error."""

    async def scenario() -> None:
        backend = Backend()
        commits = commits_of(backend)
        items = [Item(0, 0), Item(1, 1, ("poison",)), Item(2, 2)]
        answers = await asyncio.gather(*(answer(commits, item) for item in items))
        assert answers == [0, "Rejected", 2]
        assert [len(batch) for batch in backend.batches] == [3, 1, 1, 1]

    run_virtually(scenario())


@pytest.mark.parametrize("error", [DependencyUnavailable("down"), ZeroDivisionError("a fault")])
def test_a_failed_call_fails_all_of_its_items(error: Exception) -> None:
    """Whatever the call raises, each caller hears of it and the next item is served."""

    async def scenario() -> None:
        failing = True

        async def commit(batch: Sequence[int]) -> Sequence[Outcome[int]]:
            await asyncio.sleep(0)
            if failing:
                raise error
            return [Done(item) for item in batch]

        commits: Batcher[int, int] = Batcher("test", commit, max_batch=MAX_BATCH)
        answers = await asyncio.gather(
            *(commits.submit(n) for n in range(3)), return_exceptions=True
        )
        assert answers == [error] * 3
        failing = False
        assert await commits.submit(7) == 7

    run_virtually(scenario())


def test_an_answer_of_the_wrong_length_leaves_nobody_waiting() -> None:
    """A backend that answers fewer outcomes than items is a fault that every caller hears of."""

    async def scenario() -> None:
        async def commit(batch: Sequence[int]) -> Sequence[Outcome[int]]:
            await asyncio.sleep(0)
            return [Done(item) for item in batch[1:]]

        commits: Batcher[int, int] = Batcher("test", commit, max_batch=MAX_BATCH)
        answers = await asyncio.gather(
            *(commits.submit(n) for n in range(3)), return_exceptions=True
        )
        assert [type(got) for got in answers] == [ValueError] * 3

    run_virtually(scenario())


def test_drain_waits_for_all_that_was_submitted() -> None:
    """Once drain returns, nothing waits and nothing is under way."""

    async def scenario() -> None:
        backend = Backend()
        commits = commits_of(backend, max_flushes=1)
        submits = [
            asyncio.create_task(commits.submit(Item(n, n, ("again",) * (n % 2)))) for n in range(20)
        ]
        await asyncio.sleep(0)
        await commits.drain()
        assert len(backend.committed) == 20
        assert await asyncio.gather(*submits) == list(range(20))

    run_virtually(scenario())

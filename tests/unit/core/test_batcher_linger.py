"""A busy group commit waits a moment for its batch to fill; an idle one never does."""

import asyncio
from collections.abc import Sequence

from core.batcher import Batcher, Batching, Done, Outcome
from harness.virtual_time import run_virtually

MAX_BATCH = 4
LINGER = 0.01
CALL = 0.1


class Backend:
    """Writes down when each batch was sent, in seconds, and how many it held."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, int]] = []

    async def commit(self, batch: Sequence[int]) -> Sequence[Outcome[int]]:
        self.batches.append((round(asyncio.get_running_loop().time(), 3), len(batch)))
        await asyncio.sleep(CALL)
        return [Done(item) for item in batch]


def commits_of(backend: Backend, batching: Batching) -> Batcher[int, int]:
    return Batcher("test", backend.commit, max_batch=MAX_BATCH, batching=batching)


async def submit_at(commits: Batcher[int, int], moment: float, item: int) -> int:
    await asyncio.sleep(moment)
    return await commits.submit(item)


async def sent(moments: Sequence[float], batching: Batching) -> list[tuple[float, int]]:
    """The batches of items that come at these moments."""
    backend = Backend()
    commits = commits_of(backend, batching)
    items = [submit_at(commits, moment, item) for item, moment in enumerate(moments)]
    assert await asyncio.gather(*items) == list(range(len(moments)))
    await commits.drain()
    return backend.batches


def test_lone_items_never_wait() -> None:
    """Items that come one by one are each sent at once, however long the linger."""
    moments = [0, 0.2, 0.4]
    assert run_virtually(sent(moments, Batching(linger=LINGER))) == [(0, 1), (0.2, 1), (0.4, 1)]


def test_after_a_shared_call_the_next_one_waits_for_company() -> None:
    """Two came together, so the one that comes next waits, and leaves after the linger with who came meanwhile."""
    moments = [0, 0, 0.2, 0.205, 0.3]  # the last finds the call of 0.21 under way
    batches = run_virtually(sent(moments, Batching(linger=LINGER)))
    assert batches == [(0, 2), (0.21, 2), (0.32, 1)]


def test_a_full_batch_waits_no_longer() -> None:
    """The item that fills the batch ends the wait, and starts no second call for it."""
    moments = [0, 0, 0.2, 0.201, 0.202, 0.203]
    assert run_virtually(sent(moments, Batching(linger=1))) == [(0, 2), (0.203, 4)]


def test_what_overflows_a_lingering_batch_has_the_next_call() -> None:
    """While a full batch is under way, the rest gathers as ever."""
    moments = [0, 0, *[0.2] * 6]
    assert run_virtually(sent(moments, Batching(linger=LINGER))) == [(0, 2), (0.2, 4), (0.31, 2)]


def test_a_batch_of_one_shares_nothing() -> None:
    """With the largest batch set to one, each item has a call of its own."""
    batches = run_virtually(sent([0] * 6, Batching(max_batch=1, linger=LINGER)))
    assert [count for _, count in batches] == [1] * 6

"""A busy batcher lingers to fill its batch; an idle one never does."""

import asyncio
from collections.abc import Sequence

from core.batcher import Batcher, Batching, ItemResult, Ok
from harness.virtual_time import run_virtually

MAX_BATCH = 4
LINGER = 0.01
CALL = 0.1


class Backend:
    """Records the time of each batch, in seconds, and its number of items."""

    def __init__(self) -> None:
        self.batches: list[tuple[float, int]] = []

    async def commit(self, batch: Sequence[int]) -> Sequence[ItemResult[int]]:
        self.batches.append((round(asyncio.get_running_loop().time(), 3), len(batch)))
        await asyncio.sleep(CALL)
        return [Ok(item) for item in batch]


def batcher_of(backend: Backend, batching: Batching) -> Batcher[int, int]:
    return Batcher("test", backend.commit, max_batch=MAX_BATCH, batching=batching)


async def submit_at(batcher: Batcher[int, int], time: float, item: int) -> int:
    await asyncio.sleep(time)
    return await batcher.submit(item)


async def sent(times: Sequence[float], batching: Batching) -> list[tuple[float, int]]:
    """Return the batches of items submitted at these times."""
    backend = Backend()
    batcher = batcher_of(backend, batching)
    items = [submit_at(batcher, time, item) for item, time in enumerate(times)]
    assert await asyncio.gather(*items) == list(range(len(times)))
    await batcher.drain()
    return backend.batches


def test_single_items_never_linger() -> None:
    """Items submitted one by one are each sent at once, however long the linger."""
    times = [0, 0.2, 0.4]
    assert run_virtually(sent(times, Batching(linger=LINGER))) == [(0, 1), (0.2, 1), (0.4, 1)]


def test_after_a_shared_call_the_next_one_lingers() -> None:
    """The last call had two items, so the next item lingers and shares its call with later ones."""
    times = [0, 0, 0.2, 0.205, 0.3]  # at 0.3 the call of 0.21 is in flight
    batches = run_virtually(sent(times, Batching(linger=LINGER)))
    assert batches == [(0, 2), (0.21, 2), (0.32, 1)]


def test_a_full_batch_does_not_linger() -> None:
    """The item that fills the batch ends the linger, and there is no second call."""
    times = [0, 0, 0.2, 0.201, 0.202, 0.203]
    assert run_virtually(sent(times, Batching(linger=1))) == [(0, 2), (0.203, 4)]


def test_items_beyond_a_lingering_batch_share_the_next_call() -> None:
    """They are collected while the full batch is in flight."""
    times = [0, 0, *[0.2] * 6]
    assert run_virtually(sent(times, Batching(linger=LINGER))) == [(0, 2), (0.2, 4), (0.31, 2)]


def test_a_maximum_batch_of_one_turns_batching_off() -> None:
    """Each item has a call of its own."""
    batches = run_virtually(sent([0] * 6, Batching(max_batch=1, linger=LINGER)))
    assert [count for _, count in batches] == [1] * 6

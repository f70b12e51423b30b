"""How much the indexer holds, and when it hands it over."""

import asyncio

from consumer.indexer.buffer import BATCH, Buffer
from consumer.indexer.event_queue import Event


def events(count: int, first: int = 0) -> list[Event]:
    return [Event(f"request-{first + n}", (f"receipt-{first + n}",)) for n in range(count)]


async def blocked(waiting: "asyncio.Task[int]") -> bool:
    """Whether it still waits after everything else that could run has run."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not waiting.done()


async def test_nothing_is_held_before_it_is_open() -> None:
    """Nor asked for: what comes all the same goes back."""
    buffer = Buffer()
    waiting = asyncio.create_task(buffer.capacity())
    assert await blocked(waiting)
    assert buffer.put(events(3)) == events(3)
    buffer.resume()
    assert await waiting == 2 * BATCH


async def test_two_batches_are_held_at_most() -> None:
    """One is under way, one waits; more is asked for only when the first is done."""
    buffer = Buffer()
    buffer.resume()
    assert buffer.put(events(2 * BATCH)) == []
    assert await buffer.take_batch() == events(BATCH)
    waiting = asyncio.create_task(buffer.capacity())
    assert await blocked(waiting)
    buffer.batch_done()
    assert await waiting == BATCH


async def test_what_waits_when_it_closes_is_handed_back() -> None:
    """So that it can be received by others."""
    buffer = Buffer()
    buffer.resume()
    buffer.put(events(5))
    assert buffer.pause() == events(5)
    assert buffer.pause() == []


async def test_a_stop_ends_all_waiting() -> None:
    """Nothing is handed over any more, and what waits stays to be handed back."""
    buffer = Buffer()
    buffer.resume()
    taking = asyncio.create_task(buffer.take_batch())
    await asyncio.sleep(0)
    buffer.put(events(2))
    buffer.stop()
    assert await taking == []
    assert await buffer.capacity() == 0
    assert buffer.put(events(1)) == events(1)
    assert buffer.pause() == events(2)

"""How many events the buffer holds, and when it returns them."""

import asyncio

from consumer.indexer.buffer import BATCH, Buffer
from consumer.indexer.event_queue import Event


def events(count: int, first: int = 0) -> list[Event]:
    return [Event(f"request-{first + n}", (f"receipt-{first + n}",)) for n in range(count)]


async def blocked(waiting: "asyncio.Task[int]") -> bool:
    """Return whether the task still waits after all others have run."""
    for _ in range(5):
        await asyncio.sleep(0)
    return not waiting.done()


async def test_a_closed_buffer_has_no_capacity() -> None:
    """Events that are received all the same are returned."""
    buffer = Buffer()
    waiting = asyncio.create_task(buffer.capacity())
    assert await blocked(waiting)
    assert buffer.put(events(3)) == events(3)
    buffer.resume()
    assert await waiting == 2 * BATCH


async def test_it_holds_at_most_two_batches() -> None:
    """One is in progress and one waits. There is capacity again when the first is done."""
    buffer = Buffer()
    buffer.resume()
    assert buffer.put(events(2 * BATCH)) == []
    assert await buffer.take_batch() == events(BATCH)
    waiting = asyncio.create_task(buffer.capacity())
    assert await blocked(waiting)
    buffer.batch_done()
    assert await waiting == BATCH


async def test_close_returns_the_waiting_events() -> None:
    """Another indexer can then receive them."""
    buffer = Buffer()
    buffer.resume()
    buffer.put(events(5))
    assert buffer.pause() == events(5)
    assert buffer.pause() == []


async def test_stop_ends_all_waits() -> None:
    """No batch is returned any more, and `close` returns the waiting events."""
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

"""Which decoder takes which image."""

import asyncio

import pytest

from consumer.sandbox.lanes import Lanes, Slot

SIZE = 1_000


async def take(
    lanes: Lanes[None], *, expensive: bool = False, size: int = SIZE, customer_id: str = "a"
) -> asyncio.Task[Slot[None]]:
    """Ask for a place. The task is done if there is one."""
    acquire = lanes.acquire(size, expensive=expensive, customer_id=customer_id)
    task = asyncio.create_task(acquire)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


def position(lanes: Lanes[None], task: asyncio.Task[Slot[None]]) -> int | None:
    """Return the index of the task's slot, None while it waits."""
    return lanes.slots.index(task.result()) if task.done() else None


async def fill(lanes: Lanes[None], count: int) -> list[asyncio.Task[Slot[None]]]:
    return [await take(lanes) for _ in range(count)]


async def test_cheap_images_fill_the_first_decoder_before_the_next() -> None:
    lanes = Lanes[None](3, processors=4)
    tasks = await fill(lanes, 49)
    assert [position(lanes, task) for task in tasks] == [0] * 16 + [1] * 16 + [2] * 16 + [None]
    lanes.release(lanes.slots[2], SIZE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert position(lanes, tasks[-1]) == 2


async def test_a_decoder_holds_no_more_bytes_than_its_socket() -> None:
    """But one image of any size."""
    lanes = Lanes[None](2, processors=4)
    tasks = [await take(lanes, size=size) for size in (20_000_000, 100_000, 28_000, 3_000, 3_100)]
    assert [position(lanes, task) for task in tasks] == [0, 1, 1, 1, None]


async def test_cheap_images_use_no_more_decoders_than_processors() -> None:
    """Another one would only use more of the cache."""
    lanes = Lanes[None](3, processors=1)
    tasks = await fill(lanes, 20)
    assert {position(lanes, task) for task in tasks} == {0, None}
    assert position(lanes, await take(lanes, expensive=True)) == 1


async def test_the_first_decoder_takes_no_expensive_image() -> None:
    """Each of the others holds one, and no cheap image beside it."""
    lanes = Lanes[None](3, processors=4)
    expensive = [await take(lanes, expensive=True) for _ in range(3)]
    assert [position(lanes, task) for task in expensive] == [1, 2, None]
    cheap = await fill(lanes, 17)
    assert [position(lanes, task) for task in cheap] == [0] * 16 + [None]


async def test_both_lanes_progress_while_both_wait() -> None:
    """A decoder for expensive images alternates. A waiting expensive image lets it run empty first."""
    lanes = Lanes[None](2, processors=4)
    cheap = await fill(lanes, 34)
    expensive = await take(lanes, expensive=True)
    for _ in range(16):
        assert position(lanes, expensive) is None
        lanes.release(lanes.slots[1], SIZE)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert position(lanes, expensive) == 1
    another = await take(lanes, expensive=True)
    assert [position(lanes, task) for task in cheap[32:]] == [None, None]
    lanes.release(lanes.slots[1], SIZE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert position(lanes, cheap[32]) == 1
    assert position(lanes, another) is None


async def test_one_decoder_takes_all() -> None:
    lanes = Lanes[None](1, processors=1)
    assert position(lanes, await take(lanes, expensive=True)) == 0
    cheap = await take(lanes)
    assert position(lanes, cheap) is None
    lanes.release(lanes.slots[0], SIZE)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert position(lanes, cheap) == 0


@pytest.mark.parametrize("granted", [False, True])
async def test_a_cancelled_image_keeps_no_place(granted: bool) -> None:
    """Whether it waited, or had been granted a place that it had not yet used."""
    lanes = Lanes[None](1, processors=1)
    first = await take(lanes, expensive=True)
    waiting = await take(lanes, expensive=True)
    if granted:
        lanes.release(first.result(), SIZE)
    waiting.cancel()
    await asyncio.wait({waiting})
    if not granted:
        lanes.release(first.result(), SIZE)
    assert lanes.slots[0].images == 0
    assert position(lanes, await take(lanes, expensive=True)) == 0


@pytest.mark.parametrize("expensive", [False, True])
async def test_customers_take_turns(expensive: bool) -> None:
    """An image does not wait for all images that another customer has sent before."""
    lanes = Lanes[None](2 if expensive else 1, processors=1)
    slot = lanes.slots[-1]
    ahead = [await take(lanes, expensive=expensive) for _ in range(1 if expensive else 16)]
    backlog = [await take(lanes, expensive=expensive) for _ in range(5)]
    other = await take(lanes, expensive=expensive, customer_id="b")
    for _ in range(2):
        assert not other.done()
        lanes.release(slot, SIZE)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert all(task.done() for task in ahead)
    assert other.done()
    assert [task.done() for task in backlog] == [True, False, False, False, False]


async def test_customers_without_images_are_forgotten() -> None:
    lanes = Lanes[None](1, processors=1)
    tasks = [await take(lanes, customer_id=str(number)) for number in range(20)]
    for _ in tasks:
        lanes.release(lanes.slots[0], SIZE)
    assert lanes._cheap._lines == {}

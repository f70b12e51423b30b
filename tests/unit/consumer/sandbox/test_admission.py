"""Expensive images have as many places as decoders take them. The others come back later."""

import asyncio

import pytest

from consumer.sandbox.admission import Admission, DecodersBusy
from harness.virtual_time import run_virtually

PLACES = 2
DECODE_S = 10.0


async def decode(admission: Admission, seconds: float = DECODE_S, customer: str = "a") -> float:
    """Return the seconds until the image had its place."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with admission.place(customer):
        waited = loop.time() - began
        await asyncio.sleep(seconds)
    return waited


def test_expensive_images_beyond_the_places_come_back_one_after_another() -> None:
    """None of them holds a slot of the worker for more than 1 s."""

    async def run() -> list[float]:
        admission = Admission(PLACES)
        loop = asyncio.get_running_loop()
        placed = [asyncio.create_task(decode(admission)) for _ in range(PLACES)]
        await asyncio.sleep(1)
        began = loop.time()
        others = await asyncio.gather(
            *(decode(admission) for _ in range(20)), return_exceptions=True
        )
        assert loop.time() - began <= 1
        await asyncio.gather(*placed)
        assert all(isinstance(other, DecodersBusy) for other in others)
        return sorted(other.retry_after for other in others if isinstance(other, DecodersBusy))

    waits = run_virtually(run())
    assert waits[0] >= 4
    assert waits[-1] > waits[0] + 5


def test_images_that_are_decoded_fast_wait() -> None:
    """A backlog of them is never deferred."""

    async def run() -> list[float]:
        admission = Admission(PLACES)
        return await asyncio.gather(*(decode(admission, 0.01) for _ in range(50)))

    assert max(run_virtually(run())) == pytest.approx(0.24)


def test_a_turn_holds_no_place() -> None:
    """The fetch that follows may take long."""

    async def run() -> None:
        admission = Admission(1)
        await admission.wait_for_turn("a")
        assert await decode(admission) == 0

    run_virtually(run())


def test_no_turn_while_the_places_are_held() -> None:
    """The image is not fetched in vain."""

    async def run() -> None:
        admission = Admission(1)
        held = asyncio.create_task(decode(admission))
        await asyncio.sleep(1)
        with pytest.raises(DecodersBusy):
            await admission.wait_for_turn("a")
        assert await held == 0

    run_virtually(run())


def test_another_customer_has_a_place_beside_a_backlog_of_one() -> None:
    """One for each image below its share; the backlog uses none of the reserve."""

    async def run() -> None:
        admission = Admission(PLACES)
        backlog = [asyncio.create_task(decode(admission)) for _ in range(20)]
        await asyncio.sleep(2)
        await admission.wait_for_turn("b")
        with pytest.raises(DecodersBusy):
            await admission.wait_for_turn("a")
        placed = asyncio.create_task(decode(admission, customer="b"))
        await asyncio.sleep(0)
        with pytest.raises(DecodersBusy):
            await admission.wait_for_turn("b")
        assert await placed == 0
        ended = await asyncio.gather(*backlog, return_exceptions=True)
        assert [isinstance(each, DecodersBusy) for each in ended].count(False) == PLACES

    run_virtually(run())

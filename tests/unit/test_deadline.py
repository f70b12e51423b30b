"""A time limit whose clock can be stopped."""

import asyncio
from collections.abc import Awaitable

import pytest

from consumer.fetching.deadline import Deadline


async def test_time_is_up_after_the_limit() -> None:
    """What never ends is ended."""
    with pytest.raises(TimeoutError):
        async with Deadline(0.01):
            await asyncio.Event().wait()


async def test_a_pause_does_not_count() -> None:
    """A wait many times longer than the limit, inside a pause, uses none of it up."""
    async with Deadline(0.1) as deadline:
        with deadline.paused():
            await asyncio.sleep(0.3)
        await asyncio.sleep(0.001)


async def pause_then(end: Awaitable[object], *, limit: float) -> None:
    async with Deadline(limit) as deadline:
        with deadline.paused():
            await asyncio.sleep(0)
        await end


async def test_the_clock_goes_on_after_a_pause() -> None:
    """A pause postpones the end but does not lift it."""
    with pytest.raises(TimeoutError):
        await pause_then(asyncio.Event().wait(), limit=0.01)


async def test_a_failure_inside_a_pause_is_passed_on() -> None:
    """The limit hides no error of its block."""

    async def fail_paused() -> None:
        async with Deadline(60) as deadline:
            with deadline.paused():
                raise LookupError

    with pytest.raises(LookupError):
        await fail_paused()

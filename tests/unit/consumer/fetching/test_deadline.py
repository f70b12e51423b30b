"""A time limit whose clock can be stopped."""

import asyncio
from collections.abc import Awaitable

import pytest

from consumer.fetching.fetcher import paused
from harness.virtual_time import run_virtually

LIMIT_S = 10


def test_time_is_up_after_the_limit() -> None:
    """A block that never ends gets TimeoutError."""

    async def endless() -> None:
        async with asyncio.timeout(LIMIT_S):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        run_virtually(endless())


def test_a_pause_does_not_count() -> None:
    """A wait inside a pause, longer than the limit, uses up none of it."""

    async def pause_for_long() -> None:
        async with asyncio.timeout(LIMIT_S) as deadline:
            with paused(deadline):
                await asyncio.sleep(3 * LIMIT_S)
            await asyncio.sleep(0.9 * LIMIT_S)

    run_virtually(pause_for_long())


async def pause_then(end: Awaitable[object]) -> None:
    async with asyncio.timeout(LIMIT_S) as deadline:
        with paused(deadline):
            await asyncio.sleep(0)
        await end


def test_the_clock_continues_after_a_pause() -> None:
    """A pause postpones the end and does not remove it."""
    with pytest.raises(TimeoutError):
        run_virtually(pause_then(asyncio.sleep(1.1 * LIMIT_S)))


def test_a_failure_inside_a_pause_is_passed_on() -> None:
    """An error in the block is raised unchanged."""

    async def fail_paused() -> None:
        async with asyncio.timeout(LIMIT_S) as deadline:
            with paused(deadline):
                await asyncio.sleep(0)
                raise LookupError

    with pytest.raises(LookupError):
        run_virtually(fail_paused())

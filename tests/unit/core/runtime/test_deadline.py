"""A time limit whose clock can be stopped."""

import asyncio
from collections.abc import Awaitable

import pytest
import uvloop

from core.runtime.deadline import Deadline
from harness.virtual_time import run_virtually

LIMIT_S = 10


async def endless() -> None:
    await asyncio.Event().wait()


def now() -> float:
    return asyncio.get_running_loop().time()


def test_time_is_up_after_the_limit() -> None:
    """A block that never ends gets TimeoutError."""

    async def wait() -> None:
        with pytest.raises(TimeoutError), Deadline(LIMIT_S):
            await endless()
        assert now() == LIMIT_S

    run_virtually(wait())


def test_a_block_that_ends_in_time_is_left_alone() -> None:
    """Also after its limit."""

    async def end() -> None:
        with Deadline(LIMIT_S):
            await asyncio.sleep(0.9 * LIMIT_S)
        await asyncio.sleep(LIMIT_S)

    run_virtually(end())


def test_each_of_many_blocks_has_its_own_limit() -> None:
    """Whether the next one begins with a shorter or with a longer limit than those before."""

    async def expires_after(seconds: float) -> float:
        with pytest.raises(TimeoutError), Deadline(seconds):
            await endless()
        return now()

    async def run() -> None:
        limits = [4.0, 2.0, 9.0, 1.0, 2.0, 30.0]
        assert await asyncio.gather(*map(expires_after, limits)) == limits
        began_at = now()
        assert await expires_after(3.0) == began_at + 3.0

    run_virtually(run())


def test_the_inner_one_of_two_limits_is_over_first() -> None:
    """The outer block goes on."""

    async def nest() -> None:
        with Deadline(2 * LIMIT_S):
            with pytest.raises(TimeoutError), Deadline(LIMIT_S):
                await endless()
            await asyncio.sleep(0.5 * LIMIT_S)

    run_virtually(nest())


def test_an_outer_limit_passes_an_inner_block() -> None:
    """The inner block sees a cancellation, and the outer one makes it a TimeoutError."""

    cancelled = []

    async def inner() -> None:
        try:
            with Deadline(2 * LIMIT_S):
                await endless()
        except asyncio.CancelledError:
            cancelled.append(now())
            raise

    async def nest() -> None:
        with pytest.raises(TimeoutError), Deadline(LIMIT_S):
            await inner()
        assert cancelled == [LIMIT_S]

    run_virtually(nest())


@pytest.mark.parametrize("limit_s", [LIMIT_S, 2 * LIMIT_S])
def test_a_cancelled_task_stays_cancelled(limit_s: float) -> None:
    """Also if its limit is over at the same time."""

    async def limited() -> None:
        with Deadline(limit_s):
            await endless()

    async def cancel() -> None:
        task = asyncio.create_task(limited())
        await asyncio.sleep(LIMIT_S)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run_virtually(cancel())


def test_a_pause_does_not_count() -> None:
    """A wait inside a pause, longer than the limit, uses up none of it."""

    async def pause_for_long() -> None:
        with Deadline(LIMIT_S) as deadline:
            with deadline.paused():
                await asyncio.sleep(3 * LIMIT_S)
            await asyncio.sleep(0.9 * LIMIT_S)

    run_virtually(pause_for_long())


async def pause_then(end: Awaitable[object]) -> None:
    with Deadline(LIMIT_S) as deadline:
        with deadline.paused():
            await asyncio.sleep(0)
        await end


def test_the_clock_continues_after_a_pause() -> None:
    """A pause postpones the end and does not remove it."""
    with pytest.raises(TimeoutError):
        run_virtually(pause_then(asyncio.sleep(1.1 * LIMIT_S)))


def test_a_failure_inside_a_pause_is_passed_on() -> None:
    """An error in the block is raised unchanged."""

    async def fail_paused() -> None:
        with Deadline(LIMIT_S) as deadline, deadline.paused():
            await asyncio.sleep(0)
            raise LookupError

    with pytest.raises(LookupError):
        run_virtually(fail_paused())


def test_the_limit_holds_on_the_loop_of_production() -> None:
    """Its timers have a resolution of a millisecond."""

    async def wait() -> None:
        with pytest.raises(TimeoutError), Deadline(0.0123):
            await endless()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(wait())

"""How many requests one host gets at a time."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.politeness import HostBusy, HostLimiter
from harness.virtual_time import run_virtually


async def test_a_host_at_its_limit_is_busy_after_the_wait() -> None:
    """Whoever finds no slot in time is told when to come back, and holds nothing."""
    limiter = HostLimiter(2, max_wait=0.01)
    await limiter.acquire("a.example")
    await limiter.acquire("a.example")
    with pytest.raises(HostBusy) as busy:
        await limiter.acquire("a.example")
    assert 4 <= busy.value.retry_after <= 8
    limiter.release("a.example")
    await limiter.acquire("a.example")


async def test_hosts_do_not_wait_for_one_another() -> None:
    """A slow host leaves the others their slots."""
    limiter = HostLimiter(1, max_wait=0.01)
    await limiter.acquire("slow.example")
    await limiter.acquire("fast.example")
    assert len(limiter) == 2


async def test_who_has_waited_too_long_leaves_its_turn_to_a_newcomer() -> None:
    """In one turn of the loop its time runs out and a slot comes free, before its own task has heard of either."""
    limiter = HostLimiter(1, max_wait=60)
    await limiter.acquire("a.example")
    late = asyncio.create_task(limiter.acquire("a.example"))
    await asyncio.sleep(0)
    late.cancel()
    limiter.release("a.example")
    assert limiter.is_free("a.example")
    async with asyncio.timeout(1):
        await limiter.acquire("a.example")
    with pytest.raises(asyncio.CancelledError):
        await late
    limiter.release("a.example")
    assert len(limiter) == 0


async def test_a_slot_goes_to_the_one_who_waits() -> None:
    """A release wakes whoever came first."""
    limiter = HostLimiter(1, max_wait=60)
    await limiter.acquire("a.example")
    waiting = asyncio.create_task(limiter.acquire("a.example"))
    await asyncio.sleep(0)
    limiter.release("a.example")
    await waiting
    limiter.release("a.example")
    assert len(limiter) == 0


async def test_an_idle_host_is_forgotten() -> None:
    """Releases, time-outs and cancelled waits all leave no trace: a million hosts cost nothing."""
    limiter = HostLimiter(1, max_wait=0.01)
    await limiter.acquire("a.example")
    with pytest.raises(HostBusy):
        await limiter.acquire("a.example")
    cancelled = asyncio.create_task(limiter.acquire("a.example"))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    limiter.release("a.example")
    assert len(limiter) == 0


async def test_a_slot_granted_to_one_who_gave_up_goes_on() -> None:
    """Cancelled in the very turn in which its slot came free, a fetch passes it to the next."""
    limiter = HostLimiter(1, max_wait=60)
    await limiter.acquire("a.example")
    unlucky, behind = (asyncio.create_task(limiter.acquire("a.example")) for _ in range(2))
    await asyncio.sleep(0)
    limiter.release("a.example")
    unlucky.cancel()
    await behind
    assert not limiter.is_free("a.example")
    limiter.release("a.example")
    assert len(limiter) == 0


async def test_no_one_overtakes_those_who_wait() -> None:
    """A slot that is promised is not free, and a host with free slots says so."""
    limiter = HostLimiter(2, max_wait=60)
    assert limiter.is_free("a.example")
    await limiter.acquire("a.example")
    assert limiter.is_free("a.example")
    await limiter.acquire("a.example")
    waiting = asyncio.create_task(limiter.acquire("a.example"))
    await asyncio.sleep(0)
    limiter.release("a.example")
    assert not limiter.is_free("a.example")
    await waiting


@given(st.lists(st.sampled_from(["hold", "cancel", "time out"]), max_size=30), st.integers(1, 4))
def test_the_limit_holds_whatever_becomes_of_those_who_wait(fates: list[str], limit: int) -> None:
    """Never more than the limit at a time, everybody is served or sent away, and nothing is left."""

    async def run() -> None:
        limiter = HostLimiter(limit, max_wait=1.5)
        holding = 0

        async def fetch(fate: str) -> None:
            nonlocal holding
            try:
                await limiter.acquire("a.example")
            except HostBusy:
                return
            holding += 1
            assert holding <= limit
            try:
                await asyncio.sleep(10 if fate == "time out" else 1)
            finally:
                holding -= 1
                limiter.release("a.example")

        tasks = [asyncio.create_task(fetch(fate)) for fate in fates]
        await asyncio.sleep(0.5)
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancel":
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (holding, len(limiter)) == (0, 0)

    run_virtually(run())


def test_those_refused_together_come_back_apart() -> None:
    """The delays are spread, or all would meet at the same host again."""
    assert len({HostBusy().retry_after for _ in range(10)}) > 1

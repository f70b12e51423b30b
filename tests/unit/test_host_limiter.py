"""How many requests one host gets at a time."""

import asyncio

import pytest

from consumer.fetching.politeness import HostBusy, HostLimiter


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


def test_those_refused_together_come_back_apart() -> None:
    """The delays are spread, or all would meet at the same host again."""
    assert len({HostBusy().retry_after for _ in range(10)}) > 1

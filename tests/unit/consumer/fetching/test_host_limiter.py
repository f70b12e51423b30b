"""How many requests one host gets at a time."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching import host_limiter
from consumer.fetching.host_limiter import HostBusy, HostLimiter
from harness.virtual_time import run_virtually

HOST = "a.example"


async def test_a_host_at_its_limit_is_busy_after_the_wait() -> None:
    """Whoever finds no slot in time is told when to come back, and holds nothing."""
    limiter = HostLimiter(2, max_wait=0.01)
    slot = await limiter.acquire(HOST)
    await limiter.acquire(HOST)
    with pytest.raises(HostBusy) as busy:
        await limiter.acquire(HOST)
    assert 4 <= busy.value.retry_after <= 8
    limiter.release(slot)
    await limiter.acquire(HOST)


def test_few_wait_for_a_slow_host_and_one_more_is_busy_at_once() -> None:
    """Those who wait hold up everybody else's work, so there are no more of them than the host has slots."""

    async def run() -> None:
        limiter = HostLimiter(2, max_wait=60)
        for _ in range(2):
            await limiter.acquire(HOST)
        await asyncio.sleep(5)
        await limiter_is_full_with(limiter, waiting=2)

    run_virtually(run())


def test_a_short_list_of_a_quick_host_is_not_put_off() -> None:
    """Fifty pictures at a tenth of a second each are had within a second, eight at a time."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)

        async def fetch() -> None:
            slot = await limiter.acquire(HOST)
            await asyncio.sleep(0.1)
            limiter.release(slot)

        await asyncio.gather(*(fetch() for _ in range(50)))

    run_virtually(run())


async def test_hosts_do_not_wait_for_one_another() -> None:
    """A slow host leaves the others their slots."""
    limiter = HostLimiter(1, max_wait=0.01)
    await limiter.acquire("slow.example")
    await limiter.acquire("fast.example")
    assert len(limiter) == 2


async def test_who_has_waited_too_long_leaves_its_turn_to_a_newcomer() -> None:
    """In one turn of the loop its time runs out and a slot comes free, before its own task has heard of either."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    late = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    late.cancel()
    limiter.release(slot)
    assert limiter.is_free(HOST)
    async with asyncio.timeout(1):
        slot = await limiter.acquire(HOST)
    with pytest.raises(asyncio.CancelledError):
        await late
    limiter.release(slot)
    assert len(limiter) == 0


async def test_a_slot_goes_to_the_one_who_waits() -> None:
    """A release wakes whoever came first."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    waiting = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    limiter.release(slot)
    limiter.release(await waiting)
    assert len(limiter) == 0


async def test_an_idle_host_is_forgotten() -> None:
    """Releases, and waits that were cancelled, leave no trace: a million hosts cost nothing."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    cancelled = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    limiter.release(slot)
    assert (len(limiter), limiter.idle_schedules) == (0, 0)


async def put_off(limiter: HostLimiter, host: str) -> float:
    """One more than there is room for, while the only slot is held for 100 s: seconds until its turn."""
    slot = await limiter.acquire(host)
    await asyncio.sleep(100)
    with pytest.raises(HostBusy) as busy:
        await limiter.acquire(host)
    limiter.release(slot)
    return busy.value.retry_after


def test_a_line_is_remembered_until_its_last_turn_has_come() -> None:
    """Or all who were put off would get the same turn, whenever the host is idle for a moment."""

    async def run() -> None:
        limiter = HostLimiter(1, max_wait=0.5)
        waits = [await put_off(limiter, HOST)]
        assert (len(limiter), limiter.idle_schedules) == (0, 1)
        slot = await limiter.acquire(HOST)
        for _ in range(2):
            with pytest.raises(HostBusy) as busy:
                await limiter.acquire(HOST)
            waits.append(busy.value.retry_after)
        limiter.release(slot)
        first, second, third = waits
        assert (first < 10, 90 < second < 120, 180 < third < 220) == (True, True, True)
        await asyncio.sleep(1_000)
        await put_off(limiter, "b.example")
        assert limiter.idle_schedules == 1

    run_virtually(run())


def test_the_number_of_lines_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that rested longest is forgotten for a new one."""
    monkeypatch.setattr(host_limiter, "MAX_SCHEDULES", 3)

    async def run() -> None:
        limiter = HostLimiter(1, max_wait=0.5)
        for number in range(10):
            slot = await limiter.acquire(f"{number}.example")
            await asyncio.sleep(1)
            with pytest.raises(HostBusy):
                await limiter.acquire(f"{number}.example")
            limiter.release(slot)
        assert (len(limiter), limiter.idle_schedules) == (0, 3)

    run_virtually(run())


async def test_a_slot_granted_to_one_who_gave_up_goes_on() -> None:
    """Cancelled in the very turn in which its slot came free, a fetch passes it to the next."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    unlucky, behind = (asyncio.create_task(limiter.acquire(HOST)) for _ in range(2))
    await asyncio.sleep(0)
    limiter.release(slot)
    unlucky.cancel()
    slot = await behind
    assert not limiter.is_free(HOST)
    limiter.release(slot)
    assert len(limiter) == 0


async def test_no_one_overtakes_those_who_wait() -> None:
    """A slot that is promised is not free, and a host with free slots says so."""
    limiter = HostLimiter(2, max_wait=60)
    assert limiter.is_free(HOST)
    slot = await limiter.acquire(HOST)
    assert limiter.is_free(HOST)
    await limiter.acquire(HOST)
    waiting = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    limiter.release(slot)
    assert not limiter.is_free(HOST)
    await waiting


@given(st.lists(st.sampled_from(["hold", "cancel", "time out"]), max_size=30), st.integers(1, 4))
def test_the_limit_holds_whatever_becomes_of_those_who_wait(fates: list[str], limit: int) -> None:
    """Never more than the limit at a time, everybody is served or sent away, and nobody is left."""

    async def run() -> None:
        limiter = HostLimiter(limit, max_wait=1.5)
        holding = 0

        async def fetch(fate: str) -> None:
            nonlocal holding
            try:
                slot = await limiter.acquire(HOST)
            except HostBusy:
                return
            holding += 1
            assert holding <= limit
            try:
                await asyncio.sleep(10 if fate == "time out" else 1)
            finally:
                holding -= 1
                limiter.release(slot)

        tasks = [asyncio.create_task(fetch(fate)) for fate in fates]
        await asyncio.sleep(0.5)
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancel":
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (holding, len(limiter)) == (0, 0)

    run_virtually(run())


def test_a_slot_that_was_not_used_is_no_measure() -> None:
    """A look-up for which there was no thread ended at once; the host is as slow as before."""

    async def run() -> None:
        limiter = HostLimiter(1, max_wait=1)
        slot = await limiter.acquire(HOST)
        waiting = [asyncio.create_task(limiter.acquire(HOST))]
        await asyncio.sleep(0.5)
        limiter.release(slot)
        slot = await waiting.pop()
        for _ in range(20):
            waiting.append(asyncio.create_task(limiter.acquire(HOST)))
            await asyncio.sleep(0)
            limiter.release(slot, served=False)
            slot = await waiting.pop()
        await limiter_is_full_with(limiter, waiting=1)

    run_virtually(run())


async def limiter_is_full_with(limiter: HostLimiter, *, waiting: int) -> None:
    """So many may wait, and one more is busy at once."""
    tasks = [asyncio.create_task(limiter.acquire(HOST)) for _ in range(waiting)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    before = asyncio.get_running_loop().time()
    with pytest.raises(HostBusy):
        await limiter.acquire(HOST)
    assert asyncio.get_running_loop().time() == before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_those_refused_together_come_back_apart() -> None:
    """The delays are spread, or all would meet at the same host again."""
    assert len({HostBusy().retry_after for _ in range(10)}) > 1
    farthest = [HostBusy(896).retry_after for _ in range(100)]
    assert 675 <= min(farthest) < max(farthest) <= 900

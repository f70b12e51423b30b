"""Limits on concurrent requests to a host."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.limits import host_limiter
from consumer.fetching.limits.host_condition import Answer
from consumer.fetching.limits.host_customer import HostBusy
from consumer.fetching.limits.host_limiter import HostLimiter
from harness.virtual_time import run_virtually

HOST = "a.example"


async def test_a_host_at_its_limit_is_busy_after_the_wait() -> None:
    """A request that finds no slot in time gets a retry time, and holds nothing."""
    limiter = HostLimiter(2, max_wait=0.01)
    slot = await limiter.acquire(HOST)
    await limiter.acquire(HOST)
    with pytest.raises(HostBusy) as busy:
        await limiter.acquire(HOST)
    assert 4 <= busy.value.retry_after <= 8
    limiter.release(slot)
    await limiter.acquire(HOST)


def test_few_requests_wait_for_a_slow_host_and_the_next_is_busy_at_once() -> None:
    """Waiting requests occupy the worker, so no more of them wait than the host has slots."""

    async def run() -> None:
        limiter = HostLimiter(2, max_wait=60)
        for _ in range(2):
            await limiter.acquire(HOST)
        await asyncio.sleep(5)
        await limiter_is_full_with(limiter, waiting=2)

    run_virtually(run())


def test_a_short_list_of_a_fast_host_is_not_deferred() -> None:
    """Fifty images at 0.1 s each take less than a second, eight at a time."""

    async def run() -> None:
        limiter = HostLimiter(8, max_wait=2)

        async def fetch() -> None:
            slot = await limiter.acquire(HOST)
            await asyncio.sleep(0.1)
            limiter.release(slot)

        await asyncio.gather(*(fetch() for _ in range(50)))

    run_virtually(run())


async def test_hosts_do_not_wait_for_one_another() -> None:
    """A slow host takes no slot of another host."""
    limiter = HostLimiter(1, max_wait=0.01)
    await limiter.acquire("slow.example")
    await limiter.acquire("fast.example")
    assert len(limiter) == 2


async def test_a_cancelled_request_leaves_its_slot_to_a_newcomer() -> None:
    """In one iteration of the loop, the request is cancelled and a slot becomes free, before its task runs."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    late = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    late.cancel()
    limiter.release(slot)
    newcomer = limiter.take(HOST)
    assert newcomer is not None
    with pytest.raises(asyncio.CancelledError):
        await late
    limiter.release(newcomer)
    assert len(limiter) == 0


async def test_a_slot_goes_to_the_waiting_request() -> None:
    """A release wakes the request that came first."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    waiting = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    limiter.release(slot)
    limiter.release(await waiting)
    assert len(limiter) == 0


async def test_an_idle_host_is_forgotten() -> None:
    """Releases and cancelled waits leave no state: a million hosts cost nothing."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    cancelled = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    limiter.release(slot)
    assert (len(limiter), limiter.idle_customers) == (0, 0)


async def defer(limiter: HostLimiter, host: str) -> float:
    """Defer a request while the only slot is held for 100 s. Returns the seconds until its retry."""
    slot = await limiter.acquire(host)
    await asyncio.sleep(100)
    with pytest.raises(HostBusy) as busy:
        await limiter.acquire(host)
    limiter.release(slot)
    return busy.value.retry_after


def test_a_schedule_is_kept_until_its_last_slot_has_passed() -> None:
    """Otherwise all deferred requests would get the same slot whenever the host is idle for a moment."""

    async def run() -> None:
        limiter = HostLimiter(1, max_wait=0.5)
        waits = [await defer(limiter, HOST)]
        assert (len(limiter), limiter.idle_customers) == (0, 1)
        slot = await limiter.acquire(HOST)
        for _ in range(2):
            with pytest.raises(HostBusy) as busy:
                await limiter.acquire(HOST)
            waits.append(busy.value.retry_after)
        limiter.release(slot)
        first, second, third = waits
        assert (first < 10, 90 < second < 120, 180 < third < 220) == (True, True, True)
        await asyncio.sleep(1_000)
        await defer(limiter, "b.example")
        assert limiter.idle_customers == 1

    run_virtually(run())


def test_the_number_of_schedules_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schedule that was idle longest makes room for a new one."""
    monkeypatch.setattr(host_limiter, "MAX_IDLE_CUSTOMERS", 3)

    async def run() -> None:
        limiter = HostLimiter(1, max_wait=0.5)
        for number in range(10):
            slot = await limiter.acquire(f"{number}.example")
            await asyncio.sleep(1)
            with pytest.raises(HostBusy):
                await limiter.acquire(f"{number}.example")
            limiter.release(slot)
        assert (len(limiter), limiter.idle_customers) == (0, 3)

    run_virtually(run())


async def test_a_slot_granted_to_one_who_gave_up_goes_on() -> None:
    """A fetch that is cancelled just as it gets a slot passes the slot to the next."""
    limiter = HostLimiter(1, max_wait=60)
    slot = await limiter.acquire(HOST)
    unlucky, behind = (asyncio.create_task(limiter.acquire(HOST)) for _ in range(2))
    await asyncio.sleep(0)
    limiter.release(slot)
    unlucky.cancel()
    slot = await behind
    assert limiter.take(HOST) is None
    limiter.release(slot)
    assert len(limiter) == 0


async def test_no_request_overtakes_a_waiting_one() -> None:
    """A slot that was granted is not free."""
    limiter = HostLimiter(2, max_wait=60)
    slot = limiter.take(HOST)
    assert slot is not None
    await limiter.acquire(HOST)
    waiting = asyncio.create_task(limiter.acquire(HOST))
    await asyncio.sleep(0)
    limiter.release(slot)
    assert limiter.take(HOST) is None
    await waiting


@given(st.lists(st.sampled_from(["hold", "cancel", "time out"]), max_size=30), st.integers(1, 4))
def test_the_limit_holds_for_any_mix_of_outcomes(outcomes: list[str], limit: int) -> None:
    """At most `limit` requests hold a slot, each is served or deferred, and none is left."""

    async def run() -> None:
        limiter = HostLimiter(limit, max_wait=1.5)
        holding = 0

        async def fetch(outcome: str) -> None:
            nonlocal holding
            try:
                slot = await limiter.acquire(HOST)
            except HostBusy:
                return
            holding += 1
            assert holding <= limit
            try:
                await asyncio.sleep(10 if outcome == "time out" else 1)
            finally:
                holding -= 1
                limiter.release(slot)

        tasks = [asyncio.create_task(fetch(outcome)) for outcome in outcomes]
        await asyncio.sleep(0.5)
        for task, outcome in zip(tasks, outcomes, strict=True):
            if outcome == "cancel":
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (holding, len(limiter)) == (0, 0)

    run_virtually(run())


def test_an_unused_slot_does_not_change_the_service_time() -> None:
    """A lookup without a free thread ends at once. The host is as slow as before."""

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
            limiter.release(slot, Answer.UNSENT)
            slot = await waiting.pop()
        await limiter_is_full_with(limiter, waiting=1)

    run_virtually(run())


async def limiter_is_full_with(limiter: HostLimiter, *, waiting: int) -> None:
    """Assert that `waiting` requests may wait, and that the next is busy at once."""
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


def test_requests_deferred_together_come_back_apart() -> None:
    """Jitter spreads the delays. Otherwise all would reach the same host at once again."""
    assert len({HostBusy().retry_after for _ in range(10)}) > 1
    farthest = [HostBusy(896).retry_after for _ in range(100)]
    assert 675 <= min(farthest) < max(farthest) <= 900

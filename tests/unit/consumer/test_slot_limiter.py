"""When deferred work comes back, and who gets a slot. test_host_limiter.py has the limits on concurrent work."""

import asyncio

import pytest

from consumer.slot_limiter import (
    MAX_WAIT_S,
    MIN_WAIT_S,
    RetrySchedule,
    ServiceTime,
    Slot,
    SlotLimiter,
    SlotsTaken,
)
from harness.virtual_time import run_virtually


def test_retry_times_follow_the_interval() -> None:
    """Work that is deferred together comes back one after another."""
    schedule = RetrySchedule()
    assert [schedule.next(100.0, 0.5) for _ in range(4)] == [4.0, 4.5, 5.0, 5.5]


def test_nothing_comes_back_at_once() -> None:
    """An old schedule gives no time in the past, and none sooner than MIN_WAIT_S."""
    schedule = RetrySchedule()
    schedule.next(100.0, 0.5)
    assert schedule.next(200.0, 0.5) == MIN_WAIT_S
    assert schedule.next(200.0, 0.5, wait=60) == 60


def test_a_time_is_pending_until_it_has_passed() -> None:
    """After that the schedule can be dropped."""
    schedule = RetrySchedule()
    assert not schedule.pending(100.0)
    schedule.next(100.0, 2.0)
    assert schedule.pending(105.9)
    assert not schedule.pending(106.1)


def test_no_time_is_later_than_the_longest_delay_of_a_message() -> None:
    """Work without a time takes none. When it comes back, it gets a time that is free then."""
    schedule = RetrySchedule()
    times = [schedule.next(0.0, 300.0) for _ in range(5)]
    assert times == [4.0, 304.0, 604.0, MAX_WAIT_S, MAX_WAIT_S]
    assert schedule.next(100.0, 300.0) == 804.0
    assert schedule.next(100.0, 300.0) == MAX_WAIT_S


def test_the_service_time_follows_the_measurements() -> None:
    """Some long times change the estimate. A single one does not decide it."""
    service_time = ServiceTime()
    service_time.record(0.1)
    service_time.record(10.1)
    assert service_time.estimate(age=0) == pytest.approx(2.1)
    for _ in range(30):
        service_time.record(10.1)
    assert service_time.estimate(age=0) == pytest.approx(10.1, rel=0.01)


def test_work_that_hangs_is_known_before_its_first_end() -> None:
    """The age of the current slots counts if it exceeds the average."""
    service_time = ServiceTime()
    assert service_time.estimate(age=20) == 20
    service_time.record(0.1)
    assert service_time.estimate(age=20) == 20


@pytest.mark.parametrize(("seconds", "room"), [(0.05, 80), (0.25, 16), (2.0, 8), (30.0, 8)])
def test_as_many_may_wait_as_are_soon_served(seconds: float, room: int) -> None:
    """Half a second's worth if slots are returned fast; the limit if not."""
    service_time = ServiceTime()
    service_time.record(seconds)
    assert service_time.max_waiting(8, age=0) == room


async def acquire_all(limiter: SlotLimiter, customer: str, count: int) -> list[asyncio.Task[Slot]]:
    tasks = [asyncio.create_task(limiter.acquire(customer)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_a_slot_goes_to_the_customer_that_holds_the_fewest() -> None:
    """Although the other customer's work came first, and fills all places to wait."""

    async def run() -> None:
        limiter = SlotLimiter("work", 4, max_wait=60)
        held = [await limiter.acquire("a") for _ in range(4)]
        await asyncio.sleep(10)
        waiting = await acquire_all(limiter, "a", 4)
        with pytest.raises(SlotsTaken):
            await limiter.acquire("a")
        late = await acquire_all(limiter, "b", 2)
        for slot in held[:2]:
            limiter.release(slot)
        await asyncio.sleep(0)
        assert [task.done() for task in late] == [True, True]
        assert not any(task.done() for task in waiting)
        for slot in held[2:]:
            limiter.release(slot)
        await asyncio.gather(*waiting[:2])
        for task in waiting[2:]:
            task.cancel()

    run_virtually(run())


def test_the_work_that_waits_is_bounded() -> None:
    """With more customers than places, the next one is deferred."""

    async def run() -> None:
        limiter = SlotLimiter("work", 2, max_wait=60)
        held = [await limiter.acquire("a") for _ in range(2)]
        await asyncio.sleep(10)
        tasks = [
            task
            for customer in ("a", "b", "c", "d", "e")
            for task in await acquire_all(limiter, customer, 10)
        ]
        waiting = [task for task in tasks if not task.done()]
        assert len(waiting) == 3
        for task in waiting:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for slot in held:
            limiter.release(slot)

    run_virtually(run())


def test_a_customer_does_not_wait_for_the_retry_times_of_another() -> None:
    """Each has a schedule of its own, if the caller says so."""

    async def run() -> None:
        limiter = SlotLimiter("work", 1, max_wait=1)
        slot = await limiter.acquire("a")
        await asyncio.sleep(100)
        schedules = {"a": RetrySchedule(), "b": RetrySchedule()}

        async def wait(customer: str) -> float:
            with pytest.raises(SlotsTaken) as taken:
                await limiter.acquire(customer, schedules[customer])
            return taken.value.wait

        assert await wait("a") == MIN_WAIT_S
        assert await wait("a") > 100
        assert await wait("b") == MIN_WAIT_S
        limiter.release(slot)

    run_virtually(run())


def test_a_customer_leaves_slots_to_another_that_wants_some() -> None:
    """It holds each of its slots for long, and takes each again at once. Alone, it gets all of them."""

    async def run() -> None:
        limiter = SlotLimiter("work", 8, max_wait=2)
        held = [await limiter.acquire("a") for _ in range(8)]
        with pytest.raises(SlotsTaken):
            await limiter.acquire("b")
        await asyncio.sleep(30)
        for slot in held:
            limiter.release(slot)
        tasks = await acquire_all(limiter, "a", 8)
        assert sum(task.done() for task in tasks) == 6
        assert limiter.is_free_for("b")
        assert not limiter.is_free_for("a")
        limiter.release(await limiter.acquire("b"))
        for slot in [task.result() for task in tasks if task.done()]:
            limiter.release(slot)
        for task in tasks[6:]:
            limiter.release(await task)
        await asyncio.sleep(60)
        assert sum(task.done() for task in await acquire_all(limiter, "a", 8)) == 8

    run_virtually(run())

"""When deferred work comes back. test_host_limiter.py and test_admission.py have the limits on concurrent work."""

import pytest

from consumer.slot_limiter import MAX_WAIT_S, MIN_WAIT_S, RetrySchedule


def test_slots_follow_the_rate() -> None:
    """Four at a time for two seconds each are two per second: slots are half a second apart."""
    schedule = RetrySchedule(4)
    schedule.record(2.0)
    assert [schedule.next_slot(100.0, age=0) for _ in range(4)] == [4.0, 4.5, 5.0, 5.5]


def test_nothing_comes_back_at_once() -> None:
    """An old schedule gives no slot in the past, and none sooner than MIN_WAIT_S."""
    schedule = RetrySchedule(4)
    schedule.record(2.0)
    schedule.next_slot(100.0, age=0)
    assert schedule.next_slot(200.0, age=0) == MIN_WAIT_S


def test_a_slot_is_pending_until_it_has_passed() -> None:
    """After that the schedule can be dropped."""
    schedule = RetrySchedule(1)
    schedule.record(2.0)
    assert not schedule.pending(100.0)
    schedule.next_slot(100.0, age=0)
    assert schedule.pending(105.9)
    assert not schedule.pending(106.1)


def test_no_slot_is_later_than_the_longest_delay_of_a_message() -> None:
    """Work without a slot takes none. When it comes back, it gets a slot that is free then."""
    schedule = RetrySchedule(1)
    schedule.record(300.0)
    slots = [schedule.next_slot(0.0, age=0) for _ in range(5)]
    assert slots == [4.0, 304.0, 604.0, MAX_WAIT_S, MAX_WAIT_S]
    assert schedule.next_slot(100.0, age=0) == 804.0
    assert schedule.next_slot(100.0, age=0) == MAX_WAIT_S


def test_the_service_time_follows_the_measurements() -> None:
    """Some long times change the estimate. A single one does not decide it."""
    schedule = RetrySchedule(8)
    schedule.record(0.1)
    schedule.record(10.1)
    assert schedule.service_time(age=0) == pytest.approx(2.1)
    for _ in range(30):
        schedule.record(10.1)
    assert schedule.service_time(age=0) == pytest.approx(10.1, rel=0.01)


def test_work_that_hangs_is_known_before_its_first_end() -> None:
    """The age of the current slots counts if it exceeds the average."""
    schedule = RetrySchedule(8)
    schedule.record(0.1)
    assert schedule.service_time(age=20) == 20
    assert RetrySchedule(8).service_time(age=20) == 20


@pytest.mark.parametrize(("seconds", "room"), [(0.05, 80), (0.25, 16), (2.0, 8), (30.0, 8)])
def test_as_many_may_wait_as_are_soon_served(seconds: float, room: int) -> None:
    """Half a second's worth if slots are returned fast; the limit if not."""
    schedule = RetrySchedule(8)
    schedule.record(seconds)
    assert schedule.max_waiting(age=0) == room

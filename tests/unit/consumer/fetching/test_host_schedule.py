"""Turns of those whom a busy host put off."""

import pytest

from consumer.fetching.host_limiter import MAX_WAIT_S, MIN_WAIT_S, HostSchedule


def test_turns_come_as_fast_as_the_host_is_served() -> None:
    """Four at a time for two seconds each are two a second: the turns are half a second apart."""
    schedule = HostSchedule(4)
    schedule.record(2.0)
    assert [schedule.next_slot(100.0, age=0) for _ in range(4)] == [4.0, 4.5, 5.0, 5.5]


def test_nobody_comes_back_at_once() -> None:
    """A schedule that has passed gives no turn in the past, nor one sooner than is worth a message."""
    schedule = HostSchedule(4)
    schedule.record(2.0)
    schedule.next_slot(100.0, age=0)
    assert schedule.next_slot(200.0, age=0) == MIN_WAIT_S


def test_a_turn_lies_ahead_until_it_has_come() -> None:
    """After that there is nothing to remember."""
    schedule = HostSchedule(1)
    schedule.record(2.0)
    assert not schedule.pending(100.0)
    schedule.next_slot(100.0, age=0)
    assert schedule.pending(105.9)
    assert not schedule.pending(106.1)


def test_the_line_ends_where_a_message_can_be_delayed_no_longer() -> None:
    """Whoever finds no turn takes none: when they come back, the turns that are free then are given away."""
    schedule = HostSchedule(1)
    schedule.record(300.0)
    turns = [schedule.next_slot(0.0, age=0) for _ in range(5)]
    assert turns == [4.0, 304.0, 604.0, MAX_WAIT_S, MAX_WAIT_S]
    assert schedule.next_slot(100.0, age=0) == 804.0
    assert schedule.next_slot(100.0, age=0) == MAX_WAIT_S


def test_the_estimate_follows_what_was_seen() -> None:
    """A host that got slower is known to be after some requests, and one slow answer is not yet the host."""
    schedule = HostSchedule(8)
    schedule.record(0.1)
    schedule.record(10.1)
    assert schedule.service_time(age=0) == pytest.approx(2.1)
    for _ in range(30):
        schedule.record(10.1)
    assert schedule.service_time(age=0) == pytest.approx(10.1, rel=0.01)


def test_a_host_that_hangs_is_known_before_the_first_request_has_timed_out() -> None:
    """What is under way has taken so long already, whatever was seen before."""
    schedule = HostSchedule(8)
    schedule.record(0.1)
    assert schedule.service_time(age=20) == 20
    assert HostSchedule(8).service_time(age=20) == 20


@pytest.mark.parametrize(("seconds", "room"), [(0.05, 80), (0.25, 16), (2.0, 8), (30.0, 8)])
def test_as_many_may_wait_as_are_soon_served(seconds: float, room: int) -> None:
    """Half a second's worth of a quick host; of a slow one as many as it is asked at a time."""
    schedule = HostSchedule(8)
    schedule.record(seconds)
    assert schedule.max_waiting(age=0) == room

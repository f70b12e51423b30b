"""Turns of those whom a busy host put off."""

import pytest

from consumer.fetching.host_limiter import HORIZON_S, LEAST_WAIT_S, Line


def test_turns_come_as_fast_as_the_host_is_served() -> None:
    """Four at a time for two seconds each are two a second: the turns are half a second apart."""
    line = Line(4)
    line.served(2.0)
    assert [line.turn(100.0, age=0) for _ in range(4)] == [4.0, 4.5, 5.0, 5.5]


def test_nobody_comes_back_at_once() -> None:
    """A line that has passed gives no turn in the past, nor one sooner than is worth a message."""
    line = Line(4)
    line.served(2.0)
    line.turn(100.0, age=0)
    assert line.turn(200.0, age=0) == LEAST_WAIT_S


def test_a_turn_lies_ahead_until_it_has_come() -> None:
    """After that there is nothing to remember."""
    line = Line(1)
    line.served(2.0)
    assert not line.ahead(100.0)
    line.turn(100.0, age=0)
    assert line.ahead(105.9)
    assert not line.ahead(106.1)


def test_the_line_ends_where_a_message_can_be_delayed_no_longer() -> None:
    """Whoever finds no turn takes none: when they come back, the turns that are free then are given away."""
    line = Line(1)
    line.served(300.0)
    turns = [line.turn(0.0, age=0) for _ in range(5)]
    assert turns == [4.0, 304.0, 604.0, HORIZON_S, HORIZON_S]
    assert line.turn(100.0, age=0) == 804.0
    assert line.turn(100.0, age=0) == HORIZON_S


def test_the_estimate_follows_what_was_seen() -> None:
    """A host that got slower is known to be after some requests, and one slow answer is not yet the host."""
    line = Line(8)
    line.served(0.1)
    line.served(10.1)
    assert line.estimate(age=0) == pytest.approx(2.1)
    for _ in range(30):
        line.served(10.1)
    assert line.estimate(age=0) == pytest.approx(10.1, rel=0.01)


def test_a_host_that_hangs_is_known_before_the_first_request_has_timed_out() -> None:
    """What is under way has taken so long already, whatever was seen before."""
    line = Line(8)
    line.served(0.1)
    assert line.estimate(age=20) == 20
    assert Line(8).estimate(age=20) == 20


@pytest.mark.parametrize(("seconds", "room"), [(0.05, 80), (0.25, 16), (2.0, 8), (30.0, 8)])
def test_as_many_may_wait_as_are_soon_served(seconds: float, room: int) -> None:
    """Half a second's worth of a quick host; of a slow one as many as it is asked at a time."""
    line = Line(8)
    line.served(seconds)
    assert line.room(age=0) == room

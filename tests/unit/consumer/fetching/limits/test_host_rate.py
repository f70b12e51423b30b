"""The rate that is learned from a host's refusals. test_rate_limited_hosts.py has whole backlogs."""

import itertools
import math

import pytest

from consumer.fetching.limits.host_rate import HostRate


def refused_at_five() -> HostRate:
    """A host that accepted five of eight requests that were sent together, then refused."""
    rate = HostRate(0)
    for _ in range(5):
        rate.record_accepted(0.1, sent_at=0)
    for _ in range(3):
        rate.record_refused(0.1, sent_at=0, retry_after=None)
    return rate


def test_a_host_is_not_limited_before_it_refuses() -> None:
    """Its requests do not wait."""
    rate = HostRate(0)
    rate.record_accepted(1, sent_at=0)
    assert (rate.limited, rate.wait(1)) == (False, 0)


def test_the_first_refusal_limits_the_rate_to_the_accepted_requests() -> None:
    """Refusals of requests that were sent together count as one."""
    rate = refused_at_five()
    assert 4.5 < rate.limit < 5
    assert 1 <= rate.closed_until <= 1.1


def test_requests_that_were_accepted_later_than_a_refusal_still_count() -> None:
    """Answers overtake one another."""
    rate = HostRate(0)
    rate.record_refused(0.1, sent_at=0, retry_after=None)
    alone = rate.limit
    for _ in range(5):
        rate.record_accepted(0.2, sent_at=0)
    assert alone <= 1
    assert 4.5 < rate.limit < 5


@pytest.mark.parametrize(("retry_after", "at_least"), [(None, 0.9), (0, 0.9), (1, 1), (900, 900)])
def test_a_refusal_closes_the_host(retry_after: float | None, at_least: float) -> None:
    """Until Retry-After, and for about a second without one."""
    rate = HostRate(0)
    rate.record_refused(0, sent_at=-1, retry_after=retry_after)
    assert at_least <= rate.wait(0) <= max(1, at_least)


def test_a_host_that_goes_on_refusing_is_asked_less_and_less_often() -> None:
    """Up to once a minute, also if its Retry-After is shorter."""
    rate, now, waits = HostRate(0), 0.0, []
    for _ in range(10):
        rate.record_refused(now, sent_at=now - 0.01, retry_after=1)
        waits.append(rate.wait(now))
        now = rate.closed_until + 0.1
    assert waits[0] == 1
    assert 50 < waits[-1] <= 60


def test_requests_are_spread_over_time() -> None:
    """None comes before the host opens."""
    rate = refused_at_five()
    waits = [rate.reserve(0.5) for _ in range(4)]
    gaps = [after - before for before, after in itertools.pairwise(waits)]
    assert waits[0] == pytest.approx(rate.closed_until - 0.5)
    assert gaps == pytest.approx([1 / rate.limit] * 3)


def test_a_refusal_makes_reservations_invalid() -> None:
    """Their requests would reach a host that is closed."""
    rate = refused_at_five()
    epoch = rate.epoch
    rate.record_refused(3, sent_at=2, retry_after=60)
    assert rate.epoch != epoch
    assert rate.wait(3) == 60


def test_the_rate_rises_while_the_host_accepts_and_the_limit_ends() -> None:
    """Slowly near the rate at which it refused."""
    rate = refused_at_five()
    learned, now = rate.limit, 2.0
    rate.record_accepted(now, sent_at=now)
    assert rate.limit == learned
    seconds = 0.0
    while rate.limited and seconds < 1_000:
        now += 1 / rate.limit
        seconds += 1 / rate.limit
        rate.record_accepted(now, sent_at=now)
    assert 60 < seconds < 300


def test_one_refusal_reduces_a_rate_by_a_third_at_most() -> None:
    """It may come soon after the last one, or be due to another process."""
    rate = refused_at_five()
    learned = rate.limit
    rate.record_refused(2, sent_at=1.9, retry_after=None)
    assert 0.6 * learned < rate.limit < learned


def test_a_rate_is_never_zero() -> None:
    """A host that refuses for long is still asked."""
    rate, now = HostRate(0), 0.0
    for _ in range(100):
        now += 100
        rate.record_refused(now, sent_at=now, retry_after=None)
    assert 0 < rate.limit < math.inf

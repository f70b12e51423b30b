"""When a consumer goes on after an outage."""

from core.resilience.outage_breaker import FIRST_PROBE_S, LONGEST_PROBE_S, Breaker


def test_many_messages_that_meet_one_outage_trip_it_once() -> None:
    """The wait before the first probe does not grow with the number of messages held."""
    breaker = Breaker().tripped().tripped().tripped()
    assert breaker == Breaker(open=True, probe_delay=FIRST_PROBE_S)


def test_failed_probes_double_the_wait_up_to_a_bound() -> None:
    """A long outage is probed seldom, but never given up."""
    breaker = Breaker().tripped()
    delays = []
    for _ in range(10):
        breaker = breaker.probe_failed()
        delays.append(breaker.probe_delay)
    assert delays[:3] == [2, 4, 8]
    assert delays[-1] == LONGEST_PROBE_S


def test_a_probe_that_succeeds_closes_it_and_forgets_the_wait() -> None:
    """The next outage begins with a short wait again."""
    breaker = Breaker().tripped().probe_failed().probe_succeeded()
    assert breaker == Breaker()
    assert breaker.tripped().probe_delay == FIRST_PROBE_S

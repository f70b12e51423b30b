"""How long the requests that pass through have been PENDING."""

from consumer.worker.receive_queue import WINDOW_MS, PendingAge

NOW = 1_000 * WINDOW_MS


def test_the_oldest_of_those_that_were_seen_counts() -> None:
    """Whatever was seen before and after it."""
    age = PendingAge()
    for ago in (5_000, 90_000, 20_000):
        age = age.record(NOW - ago, NOW)
    assert age.seconds(NOW) == 90
    assert age.seconds(NOW + 10_000) == 100


def test_what_is_held_counts_as_long_as_it_is_held() -> None:
    """Longer than what was only seen."""
    age = PendingAge().record(NOW - 5_000, NOW)
    later = NOW + 10 * WINDOW_MS
    assert age.seconds(later, held=[later - 30_000, later - 40_000]) == 40


def test_it_is_told_for_at_least_a_minute_and_then_forgotten() -> None:
    """A request that is given back is not here between two scrapes."""
    age = PendingAge().record(NOW - 5_000, NOW + WINDOW_MS - 1)
    assert age.seconds(NOW + 2 * WINDOW_MS - 1) > 0
    assert age.seconds(NOW + 2 * WINDOW_MS) == 0
    assert age.record(NOW + 2 * WINDOW_MS, NOW + 2 * WINDOW_MS).seconds(NOW + 2 * WINDOW_MS) == 0


def test_nothing_seen_has_no_age() -> None:
    """Nor has a request of which no one said since when it is PENDING, nor one from a clock that is ahead."""
    assert PendingAge().seconds(NOW) == 0
    assert PendingAge().record(0, NOW).seconds(NOW, held=[0]) == 0
    assert PendingAge().record(NOW - 1_000, NOW).record(0, NOW).seconds(NOW, held=[0]) == 1
    assert PendingAge().record(NOW + 5_000, NOW).seconds(NOW) == 0

"""The longest time that requests in the worker have been PENDING."""

from consumer.worker.receive_queue import WINDOW_MS, PendingAge

NOW = 1_000 * WINDOW_MS


def test_the_oldest_recorded_request_counts() -> None:
    """In any order."""
    age = PendingAge()
    for ago in (5_000, 90_000, 20_000):
        age = age.record(NOW - ago, NOW)
    assert age.seconds(NOW) == 90
    assert age.seconds(NOW + 10_000) == 100


def test_a_held_request_counts_as_long_as_it_is_held() -> None:
    """Also after its record has expired."""
    age = PendingAge().record(NOW - 5_000, NOW)
    later = NOW + 10 * WINDOW_MS
    assert age.seconds(later, held=[later - 30_000, later - 40_000]) == 40


def test_a_record_counts_for_one_to_two_minutes() -> None:
    """A requeued request may not be held during any scrape."""
    age = PendingAge().record(NOW - 5_000, NOW + WINDOW_MS - 1)
    assert age.seconds(NOW + 2 * WINDOW_MS - 1) > 0
    assert age.seconds(NOW + 2 * WINDOW_MS) == 0
    assert age.record(NOW + 2 * WINDOW_MS, NOW + 2 * WINDOW_MS).seconds(NOW + 2 * WINDOW_MS) == 0


def test_without_a_known_request_the_age_is_0() -> None:
    """Also if `pending_since` is unknown, or from a clock that is ahead."""
    assert PendingAge().seconds(NOW) == 0
    assert PendingAge().record(0, NOW).seconds(NOW, held=[0]) == 0
    assert PendingAge().record(NOW - 1_000, NOW).record(0, NOW).seconds(NOW, held=[0]) == 1
    assert PendingAge().record(NOW + 5_000, NOW).seconds(NOW) == 0

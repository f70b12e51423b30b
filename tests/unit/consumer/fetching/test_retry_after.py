"""What an origin's Retry-After means."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.response import MAX_RETRY_AFTER_S, parse_retry_after

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("900", 900),
        ("901", 900),
        ("9" * 5_000, 900),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
        ("Sun, 01 Mar 2026 11:59:00 GMT", 0),
        ("Mon, 02 Mar 2026 12:00:00 GMT", 900),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("soon", None),
        ("Sun, 99 Mar 2026 12:00:30 GMT", None),
    ],
)
def test_seconds_and_dates_are_read_within_bounds(value: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 count, bounded by what a queue can delay; nonsense counts as absent."""
    assert parse_retry_after(value, NOW) == seconds


@given(st.integers(0, int(MAX_RETRY_AFTER_S)))
def test_a_date_and_its_distance_mean_the_same(seconds: int) -> None:
    """A date so many seconds away is a wish for that many seconds."""
    date = format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)
    assert parse_retry_after(date, NOW) == parse_retry_after(str(seconds), NOW) == seconds


@given(st.text())
def test_any_text_is_harmless(text: str) -> None:
    """A stranger's header yields a bounded number or nothing."""
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S

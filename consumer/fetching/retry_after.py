"""The Retry-After header (RFC 9110, section 10.2.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER_S = 900.0
"""The longest delay that SQS grants a message; a longer wish is cut to it."""

_MAX_DIGITS = 9


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Give the seconds to wait, between 0 and MAX_RETRY_AFTER_S; None when absent or nonsense.

    `value` is a number of seconds or an HTTP-date; `now` is aware.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return MAX_RETRY_AFTER_S if len(text) > _MAX_DIGITS else _bounded(float(text))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": UTC, from an unknown zone
        date = date.replace(tzinfo=UTC)
    return _bounded((date - now).total_seconds())


def _bounded(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)

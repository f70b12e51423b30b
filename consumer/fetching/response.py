"""What a response's status and headers say, before any of its body is read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from core.errors import (
    BadRedirect,
    BadResponse,
    NotFound,
    OriginError,
    OriginRefused,
    RateLimited,
    TooLarge,
    TooManyRedirects,
)
from core.model.origin_url import InvalidOriginUrl, OriginUrl, parse_origin_url

# The Retry-After header (RFC 9110, section 10.2.3).

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


# Where a redirect leads, and whether it may be followed. The address behind it is the guard's.

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

MAX_HOP_BYTES = 8_190
"""Signed URLs of stores outgrow what is taken at submit; this is the longest header we read."""


def next_hop(current: OriginUrl, location: str | None, *, followed: int, limit: int) -> OriginUrl:
    """Give the URL that `location` leads to from `current`, after `followed` redirects.

    Raises TooManyRedirects past `limit`, and BadRedirect for a missing or refused location and for
    a step from https down to http.
    """
    if followed >= limit:
        raise TooManyRedirects
    if not location:
        raise BadRedirect("it names no location")
    try:
        # A space is common in hand-made redirects, and every browser escapes it.
        target = urljoin(current.request_url, location.strip().replace(" ", "%20"))
        hop = parse_origin_url(target, max_bytes=MAX_HOP_BYTES)
    except InvalidOriginUrl as fault:
        raise BadRedirect(str(fault)) from fault
    except ValueError as fault:
        raise BadRedirect("its location cannot be read") from fault
    if current.scheme == "https" and hop.scheme == "http":
        raise BadRedirect("it leads from https to http")
    return hop


_OK = 200
_NOT_FOUND = frozenset({404, 410})
_ASK_AGAIN = frozenset({408, 425})  # Request Timeout (RFC 9110), Too Early (RFC 8470)
_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503

_MAX_SIZE_DIGITS = 18
_MAX_VALUE_LENGTH = 256


def check_status(status: int, retry_after: str | None, now: datetime) -> None:
    """Accept 200 alone: 204 has no body, and a 206 that nobody asked for is a part of one.

    Raises NotFound, OriginRefused, RateLimited, OriginError or BadResponse.
    """
    if status == _OK:
        return
    if status in _NOT_FOUND:
        raise NotFound(f"status {status}")
    if status == _TOO_MANY_REQUESTS:
        raise RateLimited(retry_after=parse_retry_after(retry_after, now))
    if status == _UNAVAILABLE:
        raise OriginError(f"status {status}", retry_after=parse_retry_after(retry_after, now))
    if status in _ASK_AGAIN or status >= 500:  # noqa: PLR2004  the class of server errors
        raise OriginError(f"status {status}")
    if status >= 400:  # noqa: PLR2004  the class of client errors
        raise OriginRefused(f"status {status}")
    raise BadResponse(f"status {status}")


def check_coding(content_encoding: str | None) -> None:
    """Accept the body only as it is: what is coded could unfold to any size."""
    codings = {coding.strip().lower() for coding in (content_encoding or "").split(",")}
    if not codings <= {"", "identity"}:
        raise BadResponse("it is coded although no coding was accepted")


def declared_size(headers: Mapping[str, str], max_bytes: int) -> int | None:
    """Give the body's size in bytes where the framing binds it; None otherwise.

    Raises TooLarge for more than `max_bytes`, and BadResponse for a length that is no number.
    """
    length = headers.get("Content-Length")
    # Beside Transfer-Encoding a length means nothing (RFC 9112, section 6.3).
    if length is None or "Transfer-Encoding" in headers:
        return None
    if not (length.isascii() and length.isdigit()):
        raise BadResponse("its length is not a number")
    if len(length) > _MAX_SIZE_DIGITS or int(length) > max_bytes:
        raise TooLarge(f"{max_bytes:,} bytes")
    return int(length)


def media_type(content_type: str | None) -> str:
    """Give what Content-Type declares, without parameters, in lower case."""
    return recorded(content_type).partition(";")[0].strip().lower()


def recorded(value: str | None) -> str:
    """Keep a header for the record only if it is short printable ASCII: it is a stranger's text."""
    text = (value or "").strip()
    return text if text.isascii() and text.isprintable() and len(text) <= _MAX_VALUE_LENGTH else ""

"""Checks the status and the headers of a response before its body is read."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from core.errors import (
    BadRedirect,
    BadResponse,
    BrokenResponse,
    NotFound,
    OriginError,
    OriginRefused,
    RateLimited,
    TooLarge,
    TooManyRedirects,
)
from core.model.image import Provenance
from core.model.origin_url import InvalidOriginUrl, OriginUrl, resolve_reference

MAX_RETRY_AFTER_S = 900.0
"""The longest delay of an SQS message. A longer Retry-After is cut to it."""

REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

OK = 200
NOT_MODIFIED = 304
_ACCEPTED = 202
_PARTIAL = 206
_WITHOUT_IMAGE = frozenset({204, 205, 206, 207, 208, 226})
"""No Content, Reset Content, Partial Content (RFC 9110), Multi-Status (RFC 4918), Already Reported (RFC 5842) and IM
Used (RFC 3229). Any other status of the class has the image, also an unknown one (RFC 9110, section 15)."""
_WHOLE_RANGE = re.compile(r"bytes 0-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18})")
_NOT_FOUND = frozenset({404, 410})
_TRANSIENT = frozenset({408, 425})
"""Request Timeout (RFC 9110) and Too Early (RFC 8470)."""
_TOO_MANY_REQUESTS = 429
_UNAVAILABLE = 503

_MAX_RETRY_DIGITS = 9
_MAX_SIZE_DIGITS = 18
_MAX_VALUE_LENGTH = 256


def check_status(
    status: int, retry_after: str | None, now: datetime, *, content_range: str | None = None
) -> None:
    """Accept a status that comes with the image: most of the class 2xx.

    A 206, which was not requested, is accepted if its Content-Range covers everything. A 202 says that the origin does
    not have the image yet. Raises NotFound, OriginRefused, RateLimited, OriginError, BrokenResponse or BadResponse.
    """
    if status == OK or _has_image(status, content_range):
        return
    if status == _ACCEPTED:
        raise BrokenResponse(f"status {status}", retry_after=parse_retry_after(retry_after, now))
    if status in _NOT_FOUND:
        raise NotFound(f"status {status}")
    if status == _TOO_MANY_REQUESTS:
        raise RateLimited(retry_after=parse_retry_after(retry_after, now))
    if status == _UNAVAILABLE:
        raise OriginError(f"status {status}", retry_after=parse_retry_after(retry_after, now))
    if status in _TRANSIENT or status >= 500:  # noqa: PLR2004  the class of server errors
        raise OriginError(f"status {status}")
    if status >= 400:  # noqa: PLR2004  the class of client errors
        raise OriginRefused(f"status {status}")
    raise BadResponse(f"status {status}")


def _has_image(status: int, content_range: str | None) -> bool:
    if status == _PARTIAL:
        part = _WHOLE_RANGE.fullmatch((content_range or "").strip())
        return part is not None and int(part["last"]) + 1 == int(part["size"])
    return 200 <= status < 300 and status != _ACCEPTED and status not in _WITHOUT_IMAGE  # noqa: PLR2004  2xx


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Parse Retry-After (RFC 9110, section 10.2.3): a number of seconds or an HTTP-date.

    `now` is aware. Returns seconds between 0 and MAX_RETRY_AFTER_S, or None if absent or invalid.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        too_long = len(text) > _MAX_RETRY_DIGITS
        return MAX_RETRY_AFTER_S if too_long else _clamp_retry_after(float(text))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:  # "-0000": UTC, from an unknown zone
        date = date.replace(tzinfo=UTC)
    return _clamp_retry_after((date - now).total_seconds())


def _clamp_retry_after(seconds: float) -> float:
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def resolve_redirect(
    current: OriginUrl, locations: Sequence[str], *, followed: int, limit: int
) -> OriginUrl:
    """Resolve the values of Location against `current`, after `followed` redirects. Empty ones do not count.

    ConnectGuard checks the address of the result, not this function. Raises TooManyRedirects past `limit`. Raises
    BadRedirect if the location is missing, ambiguous or invalid, or leads from https to http.
    """
    if followed >= limit:
        raise TooManyRedirects
    targets = {location for location in locations if location}
    if not targets:
        raise BadRedirect("it names no location")
    if len(targets) > 1:
        raise BadRedirect("it names several locations")
    try:
        hop = resolve_reference(current, targets.pop())
    except InvalidOriginUrl as fault:
        raise BadRedirect(str(fault)) from fault
    if current.scheme == "https" and hop.scheme == "http":
        raise BadRedirect("it leads from https to http")
    return hop


def parse_content_length(headers: Mapping[str, str], max_bytes: int) -> int | None:
    """Return the body's size in bytes if the headers declare it, else None.

    Raises TooLarge for more than `max_bytes`, and BadResponse for a length that is not a number.
    """
    length = headers.get("Content-Length")
    # With Transfer-Encoding, the length means nothing (RFC 9112, section 6.3).
    if length is None or "Transfer-Encoding" in headers:
        return None
    if not (length.isascii() and length.isdigit()):
        raise BadResponse("its length is not a number")
    if len(length) > _MAX_SIZE_DIGITS or int(length) > max_bytes:
        raise TooLarge(f"{max_bytes:,} bytes")
    return int(length)


def read_provenance(headers: Mapping[str, str]) -> Provenance:
    """Return the headers that are recorded."""
    return Provenance(
        etag=sanitize_header(headers.get("ETag")),
        last_modified=sanitize_header(headers.get("Last-Modified")),
        declared_media_type=parse_media_type(headers.get("Content-Type")),
    )


def parse_media_type(content_type: str | None) -> str:
    """Return the media type in lower case, without parameters."""
    return sanitize_header(content_type).partition(";")[0].strip().lower()


def sanitize_header(value: str | None) -> str:
    """Return an untrusted header if it is short printable ASCII, else an empty string."""
    text = (value or "").strip()
    return text if text.isascii() and text.isprintable() and len(text) <= _MAX_VALUE_LENGTH else ""

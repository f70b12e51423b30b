"""What a response's status and headers say, before any of its body is read."""

from collections.abc import Mapping
from datetime import datetime

from consumer.fetching.retry_after import parse_retry_after
from core.errors import BadResponse, NotFound, OriginError, OriginRefused, RateLimited, TooLarge

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

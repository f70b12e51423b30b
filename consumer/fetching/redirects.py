"""Where a redirect leads, and whether it may be followed. The address behind it is the guard's."""

from urllib.parse import urljoin

from core.errors import BadRedirect, TooManyRedirects
from core.origin_url import InvalidOriginUrl, OriginUrl, parse_origin_url

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

"""Cookies of one fetch: an origin may set one in a redirect and serve the image only to those who return it (RFC 6265).

Unlike in a browser, each cookie belongs to the host that set it, whatever its Domain says: no list of public suffixes
is necessary, and no other host gets it. A cookie ends with its fetch. http.cookies is not used: it drops a whole field
for one unusual character, and aiohttp's jar sends a cookie to any host of its Domain.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from core.model.origin_url import OriginUrl

MAX_COOKIES = 20
MAX_COOKIE_BYTES = 4_096
"""Name and value of one cookie. RFC 6265, section 6.1 asks for at least as much."""
MAX_FIELD_BYTES = 8_000
"""Servers commonly accept lines of 8 KB."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True, repr=False)
class _Cookie:
    host: str
    name: str
    path: str
    value: str
    secure: bool

    def matches(self, hop: OriginUrl) -> bool:
        path = hop.target.partition("?")[0]
        return (
            self.host == hop.host
            and (hop.scheme == "https" or not self.secure)
            and (path == self.path or path.startswith(self.path.removesuffix("/") + "/"))
        )


class FetchCookies:
    """The cookies that the hops of one fetch have set. Their values must not reach a log."""

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[tuple[str, str, str], _Cookie] = {}

    def store(self, hop: OriginUrl, fields: list[str], now: datetime) -> None:
        """Keep the cookies of the Set-Cookie fields of a response. Ignores invalid ones, and those over the limits.

        `now` is aware.
        """
        for field in fields:
            cookie, expired = _parse(hop, field, now)
            if cookie is None:
                continue
            key = (cookie.host, cookie.name, cookie.path)
            if expired:
                self._cookies.pop(key, None)
            elif key in self._cookies or len(self._cookies) < MAX_COOKIES:
                self._cookies[key] = cookie

    def header(self, hop: OriginUrl) -> bytes:
        """Return the line of the Cookie field for a request, with its end; nothing if there is no cookie."""
        if not self._cookies:  # almost always
            return b""
        cookies = sorted(
            (cookie for cookie in self._cookies.values() if cookie.matches(hop)),
            key=lambda cookie: -len(cookie.path),
        )
        pairs: list[bytes] = []
        size = 0
        for cookie in cookies:
            pair = f"{cookie.name}={cookie.value}".encode(errors="surrogateescape")
            size += len(pair) + 2
            if size > MAX_FIELD_BYTES:
                break
            pairs.append(pair)
        return b"Cookie: %b\r\n" % b"; ".join(pairs) if pairs else b""


def _parse(hop: OriginUrl, field: str, now: datetime) -> tuple[_Cookie | None, bool]:
    """Return the cookie of a Set-Cookie field, None if it is refused, and whether the field removes it.

    RFC 6265, section 5.2.
    """
    pair, *attributes = field.split(";")
    name, equals, value = (part.strip(" \t") for part in pair.partition("="))
    size = len(name) + len(value.encode(errors="surrogateescape"))
    if not name or not equals or size > MAX_COOKIE_BYTES or _CONTROL.search(pair):
        return None, False
    texts: dict[str, str] = {}
    for attribute in attributes:
        key, _, text = (part.strip(" \t") for part in attribute.partition("="))
        texts[key.lower()] = text
    secure = "secure" in texts
    if secure and hop.scheme != "https":
        return None, False
    path = texts.get("path", "")
    cookie = _Cookie(hop.host, name, path if path.startswith("/") else "/", value, secure)
    return cookie, _is_over(texts.get("max-age"), texts.get("expires"), now)


def _is_over(max_age: str | None, expires: str | None, now: datetime) -> bool:
    """Return whether the cookie ends at once. Max-Age decides if both are given; an invalid date counts as none."""
    if max_age is not None:
        return max_age.startswith("-") or max_age == "0"
    try:
        date = parsedate_to_datetime(expires or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return False
    return (date if date.tzinfo else date.replace(tzinfo=UTC)) <= now

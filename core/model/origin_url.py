"""Validates origin URLs by their text alone, and resolves the references of redirects.

The server applies these rules at submit, and the fetcher to every redirect. They are no SSRF protection: the address
of each connection is checked when it is made (consumer/fetching/connect_guard.py). They reject early what no honest
caller writes, above all hosts that one parser reads as a name and another as an address.

The stored text of a URL is the caller's. Only the request to the origin uses the escaped and normalized form.

Grammar: RFC 3986, appendix B. Characters: WHATWG URL Standard, section 4.4, made stricter before the path.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from core.model.host import InvalidHost, parse_host
from core.model.request_target import escape, normalize

MAX_URL_BYTES = 8_190
"""Longest URL, submitted or of a redirect, in bytes of UTF-8. Signed URLs of stores have some thousand bytes; web
servers accept a request line of about this length."""

DEFAULT_PORTS = {"http": 80, "https": 443}
_UNPRIVILEGED_PORTS = range(1_024, 65_536)

# WHATWG Fetch, section 2.9 "Port blocking" ("bad ports"), as far as it lies above 1023.
_BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679}
    | {6697, 10080}
)

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[^#]*).*",
    re.IGNORECASE | re.DOTALL,
)
_REFERENCE = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*):)?(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?.*",
    re.IGNORECASE | re.DOTALL,
)
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")

_WHITESPACE = " \t\n\f\r"
"""ASCII whitespace, which is removed at both ends, as browsers do."""
# Browsers remove tabs and newlines inside a URL, and other parsers do not. SQS rejects messages with the
# noncharacters U+FFFE and U+FFFF.
_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffe\uffff]")
# Browsers read a backslash before the query as a slash, so it can end the host. Other parsers do not.
_BACKSLASH = re.compile(r"[^?#]*\\")
_TABS_AND_NEWLINES = re.compile(r"[\t\n\r]")


class InvalidOriginUrl(ValueError):
    """The URL is refused. `str()` is one sentence for the caller."""


@dataclass(frozen=True, slots=True)
class OriginUrl:
    """An accepted URL.

    `url` is the text exactly as given. `host` is the name to look up: in lower case, an international
    name as A-labels (RFC 5890), an IPv6 address without brackets.
    """

    url: str
    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as in a URL; without the port if it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query to request, in ASCII: without fragment and dot segments, escaped."""
        parts = _URL.fullmatch(self.url.strip(_WHITESPACE))
        return normalize(escape(parts["target"] if parts else ""))

    @property
    def request_url(self) -> str:
        """The URL in ASCII: scheme, `authority` and `target`."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_origin_url(text: str) -> OriginUrl:
    """Accept an http or https URL of at most MAX_URL_BYTES.

    Raises InvalidOriginUrl; its text is for the caller.
    """
    return OriginUrl(text, *_parse(text))


def check_origin_url(text: str) -> None:
    """Raise InvalidOriginUrl as `parse_origin_url` does."""
    _parse(text)


def _parse(text: str) -> tuple[str, str, int]:
    """Return scheme, host and port. Raises InvalidOriginUrl."""
    _check_size(text)
    url = text.strip(_WHITESPACE)
    if not url:
        raise InvalidOriginUrl("The URL is empty.")
    _check_characters(url)
    parts = _URL.fullmatch(url)
    scheme = parts["scheme"].lower() if parts else ""
    if parts is None or scheme not in DEFAULT_PORTS:
        raise InvalidOriginUrl("The URL must begin with http:// or https://.")
    host, port = _parse_authority(parts["authority"])
    return scheme, host, port or DEFAULT_PORTS[scheme]


def resolve_reference(base: OriginUrl, reference: str) -> OriginUrl:
    """Resolve a reference, such as a Location, against `base` (RFC 3986, section 5.2), and accept the result.

    Tabs and newlines in its path and query are removed, and other control characters escaped, as browsers do. Its
    bytes that are no UTF-8 must be decoded with "surrogateescape". Raises InvalidOriginUrl.
    """
    reference = reference.strip(_WHITESPACE)
    _check_backslashes(reference)
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise InvalidOriginUrl("The reference cannot be read.")
    scheme, authority = parts["scheme"], parts["authority"]
    path, query = _escape_reference(parts["path"]), _escape_reference(parts["query"] or "")
    if authority is not None:
        text = f"{scheme or base.scheme}://{authority}{path}{query}"
    elif scheme is not None:
        raise InvalidOriginUrl("The URL must begin with http:// or https://.")
    else:
        text = f"{base.scheme}://{base.authority}{_merge(base.target, path, query)}"
    return parse_origin_url(text)


def _merge(target: str, path: str, query: str) -> str:
    """Return the target of a reference without a host (RFC 3986, sections 5.2.2 and 5.2.3)."""
    base_path = target.partition("?")[0]
    if path.startswith("/"):
        return path + query
    if path:
        return f"{base_path.rpartition('/')[0]}/{path}{query}"
    return base_path + query if query else target


def _escape_reference(text: str) -> str:
    try:
        return escape(_TABS_AND_NEWLINES.sub("", text))
    except UnicodeEncodeError:
        raise InvalidOriginUrl("The URL is not valid Unicode.") from None


# A customer's images come from few hosts, and parsing the host takes longer than the rest of the URL. Errors are not
# cached, so an entry is hardly longer than the longest host.
@lru_cache(maxsize=4_096)
def _parse_authority(text: str) -> tuple[str, int | None]:
    """Return host and port, None without a port. Raises InvalidOriginUrl."""
    if "@" in text:
        raise InvalidOriginUrl("The URL must not contain a user name or password.")
    authority = _HOST_AND_PORT.fullmatch(text)
    if authority is None:
        raise InvalidOriginUrl("The URL's host and port cannot be read.")
    port = int(authority["port"]) if authority["port"] else None
    if port is not None:
        _check_port(port)
    try:
        return parse_host(authority["host"]), port
    except InvalidHost as fault:
        raise InvalidOriginUrl(str(fault)) from None


def _check_size(text: str) -> None:
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise InvalidOriginUrl("The URL is not valid Unicode.") from None
    if size > MAX_URL_BYTES:
        raise InvalidOriginUrl(f"The URL is longer than {MAX_URL_BYTES:,} bytes.")


def _check_characters(url: str) -> None:
    # Plain ASCII is by far the most common, and has none of them.
    if not (url.isascii() and url.isprintable()) and _REFUSED.search(url):
        raise InvalidOriginUrl("The URL must not contain control characters.")
    if "\\" in url:
        _check_backslashes(url)


def _check_backslashes(url: str) -> None:
    if _BACKSLASH.match(url):
        raise InvalidOriginUrl("The URL must not contain backslashes before its query.")


def _check_port(port: int) -> None:
    if port not in DEFAULT_PORTS.values() and port not in _UNPRIVILEGED_PORTS:
        raise InvalidOriginUrl("The URL's port must be 80, 443 or between 1024 and 65535.")
    if port in _BAD_PORTS:
        raise InvalidOriginUrl(f"The URL's port {port} belongs to another protocol than HTTP.")


def has_web_host(url: str) -> bool:
    return url.startswith(("http://", "https://")) and has_host(url)


def has_host(url: str) -> bool:
    """Return whether this URL has a host, and a valid port if it has a port. For settings.

    A password that is not percent-encoded makes it invalid. The text of urlsplit's error, which contains a part of the
    password, must not reach a log.
    """
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False

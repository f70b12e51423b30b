"""Validates origin URLs by their text alone.

The server applies these rules at submit, and the fetcher to every redirect. They are no SSRF protection: the address
of each connection is checked when it is made (consumer/fetching/connect_guard.py). They reject early what no honest
caller writes, above all hosts that one parser reads as a name and another as an address.

Grammar: RFC 3986, appendix B. Hosts: WHATWG URL Standard, section 3.5 (host parsing), made stricter.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import quote, urlsplit

import idna

MAX_URL_BYTES = 2_048
"""Longest URL accepted at submit, in bytes of UTF-8."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNPRIVILEGED_PORTS = range(1_024, 65_536)

# WHATWG Fetch, section 2.9 "Port blocking" ("bad ports"), as far as it lies above 1023.
_BAD_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, *range(6665, 6670), 6679}
    | {6697, 10080}
)

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*).*", re.IGNORECASE | re.DOTALL
)
_TARGET = re.compile(r"[^/?#]*(?P<target>[^#]*)")
_HOST_AND_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[0-9]{0,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_MAX_NAME = 254  # RFC 1035, section 2.3.4, as text with its final dot
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# Parsers disagree about these: some remove spaces and control characters (Unicode's Cc), some read a backslash as a
# slash. SQS rejects messages with the noncharacters U+FFFE and U+FFFF.
_AMBIGUOUS = re.compile(r"[\\\s\x00-\x1f\x7f-\x9f\ufffe\uffff]")

# RFC 3986: reserved and unreserved characters, and "%" of existing escapes.
_KEPT_IN_TARGET = "%/?:@!$&'()*+,;=-._~[]"
_PLAIN_TARGET = re.compile(rf"[A-Za-z0-9{re.escape(_KEPT_IN_TARGET)}]*")


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
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def target(self) -> str:
        """Path and query to request, in ASCII: without fragment, non-ASCII escaped as UTF-8.

        Existing escapes stay byte for byte, because signatures cover them.
        """
        parts = _TARGET.match(self.url, len(self.scheme) + len("://"))
        target = parts["target"] if parts else ""
        if not _PLAIN_TARGET.fullmatch(target):
            target = quote(target, safe=_KEPT_IN_TARGET)
        return target if target.startswith("/") else f"/{target}"

    @property
    def request_url(self) -> str:
        """The URL in ASCII: scheme, `authority` and `target`."""
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_origin_url(text: str, *, max_bytes: int = MAX_URL_BYTES) -> OriginUrl:
    """Accept an http or https URL of at most `max_bytes` bytes of UTF-8.

    Raises InvalidOriginUrl; its text is for the caller.
    """
    _check_characters(text, max_bytes)
    parts = _URL.fullmatch(text)
    scheme = parts["scheme"].lower() if parts else ""
    if parts is None or scheme not in _DEFAULT_PORTS:
        raise InvalidOriginUrl("The URL must begin with http:// or https://.")
    if "@" in parts["authority"]:
        raise InvalidOriginUrl("The URL must not contain a user name or password.")
    authority = _HOST_AND_PORT.fullmatch(parts["authority"])
    if authority is None:
        raise InvalidOriginUrl("The URL's host and port cannot be read.")
    port = int(authority["port"]) if authority["port"] else _DEFAULT_PORTS[scheme]
    _check_port(port)
    return OriginUrl(text, scheme, _parse_host(authority["host"]), port)


def _check_characters(text: str, max_bytes: int) -> None:
    if not text:
        raise InvalidOriginUrl("The URL is empty.")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise InvalidOriginUrl("The URL is not valid Unicode.") from None
    if size > max_bytes:
        raise InvalidOriginUrl(f"The URL is longer than {max_bytes:,} bytes.")
    if _AMBIGUOUS.search(text):
        raise InvalidOriginUrl(
            "The URL must not contain spaces, control characters or backslashes."
        )


def _check_port(port: int) -> None:
    if port not in _DEFAULT_PORTS.values() and port not in _UNPRIVILEGED_PORTS:
        raise InvalidOriginUrl("The URL's port must be 80, 443 or between 1024 and 65535.")
    if port in _BAD_PORTS:
        raise InvalidOriginUrl(f"The URL's port {port} belongs to another protocol than HTTP.")


# A customer's images come from few hosts, and parsing the host takes longer than the rest of the URL. Errors are not
# cached, so an entry is at most as long as a name.
@lru_cache(maxsize=4_096)
def _parse_host(host: str) -> str:
    if not host:
        raise InvalidOriginUrl("The URL has no host.")
    if host.startswith("["):
        return _parse_ipv6(host[1:-1])
    if "%" in host:
        raise InvalidOriginUrl("The URL's host must not be percent-encoded.")
    name = host.lower() if host.isascii() else _to_a_labels(host)
    if _ends_in_number(name):
        return _parse_ipv4(name, as_given=host)
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidOriginUrl("The URL's host is not a valid name.")
    return name


def _parse_ipv6(text: str) -> str:
    # A zone (RFC 6874) names a network interface of this machine.
    if "%" in text:
        raise InvalidOriginUrl("The URL's IPv6 address must not have a zone.")
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise InvalidOriginUrl("The URL's host is not a valid IPv6 address.") from None
    if address.ipv4_mapped is None:
        return str(address)
    # In hexadecimal, as WHATWG's serialiser does; Python 3.13 and later write a dotted quad.
    high, low = divmod(int(address.ipv4_mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"


def _to_a_labels(host: str) -> str:
    try:
        return idna.encode(host, uts46=True, transitional=False).decode("ascii").lower()
    except UnicodeError:
        raise InvalidOriginUrl("The URL's host is not a valid internationalised name.") from None


def _ends_in_number(name: str) -> bool:
    """Return whether the WHATWG host parser would read this as IPv4 ("ends in a number")."""
    return _NUMBER.fullmatch(name.removesuffix(".").rpartition(".")[2]) is not None


def _parse_ipv4(name: str, *, as_given: str) -> str:
    # Only a dotted quad means the same to all parsers. Some read 0177.0.0.1, 0x7f.1 and 2130706433 as loopback.
    try:
        canonical = str(IPv4Address(name))
    except AddressValueError:
        canonical = ""
    if canonical != as_given:
        raise InvalidOriginUrl(
            "The URL's host ends in a number but is not an IP address written as four decimal numbers."
        )
    return canonical


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

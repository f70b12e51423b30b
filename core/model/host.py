"""Parses the host of a URL: a name, an IPv4 address or an IPv6 address.

Sources: WHATWG URL Standard, section 3.5 (host parsing), made stricter for addresses; UTS 46 for international names.
A name is accepted if browsers open it and DNS can have it. IDNA 2008 (RFC 5891) is stricter: it has no emoji and no
underscore, and allows no hyphen at either end of a label.
"""

import re
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_UNICODE_LABEL = re.compile(r"[a-z0-9_\-\x80-\U0010ffff]{1,59}")
"""After the mapping of UTS 46, which makes "/" or a space of some letters. An A-label is at least four bytes longer."""
_A_LABEL_PREFIX = "xn--"
_JOINERS = "\u200c\u200d"
_MAX_NAME = 254  # RFC 1035, section 2.3.4, as text with its final dot
_MAX_TEXT = 1_024
"""Longest host as text. UTS 46 ignores some characters, so a longer text could still be a name."""
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class InvalidHost(ValueError):
    """The host is refused. `str()` is one sentence for the caller."""


def parse_host(host: str) -> str:
    """Return the name to look up, in lower case and as A-labels (RFC 5890), or the address, IPv6 without brackets.

    Raises InvalidHost.
    """
    if not host:
        raise InvalidHost("The URL has no host.")
    if len(host) > _MAX_TEXT:
        raise InvalidHost("The URL's host is not a valid name.")
    if host.startswith("["):
        return _parse_ipv6(host[1:-1])
    if "%" in host:
        raise InvalidHost("The URL's host must not be percent-encoded.")
    name = host.lower() if host.isascii() else _to_a_labels(host)
    if _ends_in_number(name):
        return _parse_ipv4(name, as_given=host)
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise InvalidHost("The URL's host is not a valid name.")
    return name


def to_unicode(name: str) -> str:
    """Return an international name as people type it. A label that is no valid Punycode (RFC 3492) stays as it is."""
    return ".".join(map(_to_unicode_label, name.split(".")))


def _to_unicode_label(label: str) -> str:
    if not label.startswith(_A_LABEL_PREFIX):
        return label
    try:
        return label.removeprefix(_A_LABEL_PREFIX).encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def _parse_ipv6(text: str) -> str:
    # A zone (RFC 6874) names a network interface of this machine.
    if "%" in text:
        raise InvalidHost("The URL's IPv6 address must not have a zone.")
    try:
        address = IPv6Address(text)
    except AddressValueError:
        raise InvalidHost("The URL's host is not a valid IPv6 address.") from None
    if address.ipv4_mapped is None:
        return str(address)
    # In hexadecimal, as WHATWG's serialiser does; Python 3.13 and later write a dotted quad.
    high, low = divmod(int(address.ipv4_mapped), 1 << 16)
    return f"::ffff:{high:x}:{low:x}"


def _to_a_labels(host: str) -> str:
    """Convert an international name as browsers do: UTS 46 with CheckHyphens and UseSTD3ASCIIRules off.

    `idna.encode` also applies the rules of IDNA 2008 to each label, so only its parts are used.
    """
    try:
        mapped = idna.uts46_remap(host, std3_rules=False)
        return ".".join(map(_to_a_label, mapped.split(".")))
    except ValueError:  # UnicodeError, or a character that UTS 46 has and this Python does not
        raise InvalidHost("The URL's host is not a valid internationalised name.") from None


def _to_a_label(label: str) -> str:
    """Convert one mapped label. Raises UnicodeError."""
    if label.isascii():
        return label
    if label.startswith(_A_LABEL_PREFIX) or not _UNICODE_LABEL.fullmatch(label):
        raise idna.IDNAError("no label of a name")
    idna.check_initial_combiner(label)
    idna.check_bidi(label)
    for position, character in enumerate(label):
        if character in _JOINERS and not idna.valid_contextj(label, position):
            raise idna.IDNAError("a joiner out of context")
    return _A_LABEL_PREFIX + label.encode("punycode").decode("ascii")


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
        raise InvalidHost(
            "The URL's host ends in a number but is not an IP address written as four decimal numbers."
        )
    return canonical

"""SSRF guard, the decision: whether the consumer may connect to an address. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from consumer.fetching.networks import (
    GLOBAL_UNICAST_V6,
    IPV4_SPECIAL,
    IPV6_SPECIAL,
    METADATA_ENDPOINTS,
    NAT64_LOCAL_PREFIX,
    NAT64_PREFIX,
    IPAddress,
    IPNetwork,
)
from core.errors import BlockedAddress, DnsFailed, ImageFailure

_NAT64_EMBEDDING_LENGTH = 96
_IPV4_COMPATIBLE = IPv6Network("::/96")
_IPV4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")
_ISATAP_IDENTIFIERS = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""RFC 5214, section 6.1, with the universal/local bit clear or set. The prefix may be any."""

_IN_LOW_BITS = (_IPV4_COMPATIBLE, _IPV4_TRANSLATED, NAT64_PREFIX, NAT64_LOCAL_PREFIX)
_MASK = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class BlockedReason:
    """Why an address is blocked. For logs only: it names networks, so customers never see it."""

    network: str
    reason: str
    source: str

    def __str__(self) -> str:
        return f"{self.network} is blocked: {self.reason} ({self.source})"


def check_address(
    ip: IPAddress, allowed_networks: tuple[IPNetwork, ...], *, nat64_allowed: bool = False
) -> BlockedReason | None:
    """Check one address. Returns None if the consumer may connect to it.

    allowed_networks: networks that are open although they are not public. A metadata endpoint is
        open only if it is listed exactly (/32 or /128). A tunnel is open only if the IPv4 address
        inside it is open too.
    nat64_allowed: opens 64:ff9b::/96 (RFC 6052) around public addresses. IPv6-only clusters need it.
    """
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return check_address(ip.ipv4_mapped, allowed_networks)
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return check_address(IPv6Address(int(ip)), allowed_networks, nat64_allowed=nat64_allowed)
    return (
        _check_metadata(ip, allowed_networks)
        or _check_embedded(ip, allowed_networks)
        or _check_network(ip, allowed_networks, nat64_allowed=nat64_allowed)
    )


def blocked_failure(host: str, reasons: Sequence[BlockedReason]) -> ImageFailure | None:
    """Return the failure of a host if addresses of it were blocked, else None.

    host: as in an OriginUrl. A name that leads to a blocked address fails as one that does not exist: the difference
    would tell a customer which internal names exist. An address tells nothing that its customer did not write.
    """
    if not reasons:
        return None
    detail = "; ".join(dict.fromkeys(map(str, reasons)))
    try:
        ip_address(host)
    except ValueError:
        return DnsFailed(operator_detail=detail)
    return BlockedAddress(operator_detail=detail)


def _check_metadata(ip: IPAddress, allowed_networks: tuple[IPNetwork, ...]) -> BlockedReason | None:
    endpoint = METADATA_ENDPOINTS.get(ip)
    if endpoint is None or any(
        network.num_addresses == 1 and ip in network for network in allowed_networks
    ):
        return None
    name, source = endpoint
    return BlockedReason(str(ip), name, source)


def _check_embedded(ip: IPAddress, allowed_networks: tuple[IPNetwork, ...]) -> BlockedReason | None:
    if not isinstance(ip, IPv6Address):
        return None
    reasons = (check_address(inner, allowed_networks) for inner in _embedded_addresses(ip))
    blocked = next(filter(None, reasons), None)
    if blocked is None:
        return None
    return BlockedReason(blocked.network, f"carries {blocked.reason}", blocked.source)


def _embedded_addresses(ip: IPv6Address) -> tuple[IPv4Address, ...]:
    """Return every IPv4 address inside `ip`, to which a tunnel or a translator would forward.

    Covers IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64 with a prefix of 96 bits
    (RFC 6052), 6to4 (RFC 3056), server and client of Teredo (RFC 4380) and ISATAP (RFC 5214).
    The caller handles IPv4-mapped addresses: they are no tunnel, but IPv4 as a socket writes it.
    """
    bits = int(ip)
    if bits <= 1:  # "::" and "::1" lie in the IPv4-compatible range but carry no address
        return ()
    if any(ip in network for network in _IN_LOW_BITS):
        return (IPv4Address(bits & _MASK),)
    if ip in _SIX_TO_FOUR:
        return (IPv4Address(bits >> 80 & _MASK),)
    if ip in _TEREDO:
        return (IPv4Address(bits >> 64 & _MASK), IPv4Address(~bits & _MASK))
    if bits >> 32 & _MASK in _ISATAP_IDENTIFIERS:
        return (IPv4Address(bits & _MASK),)
    return ()


def _check_network(
    ip: IPAddress, allowed_networks: tuple[IPNetwork, ...], *, nat64_allowed: bool
) -> BlockedReason | None:
    if any(ip in network and _may_open(network, ip) for network in allowed_networks):
        return None
    if nat64_allowed and ip in NAT64_PREFIX:
        return None
    for special in IPV4_SPECIAL if isinstance(ip, IPv4Address) else IPV6_SPECIAL:
        if ip in special.network:
            return BlockedReason(str(special.network), special.purpose, special.source)
    if isinstance(ip, IPv6Address) and ip not in GLOBAL_UNICAST_V6:
        return BlockedReason(f"outside {GLOBAL_UNICAST_V6}", "not global unicast", "RFC 4291")
    return None


def _may_open(network: IPNetwork, ip: IPAddress) -> bool:
    # A local NAT64 prefix may be shorter than 96 bits (RFC 8215). Then the position of the IPv4
    # address inside is unknown, so only a prefix of a known format may open it.
    return ip not in NAT64_LOCAL_PREFIX or network.prefixlen >= _NAT64_EMBEDDING_LENGTH

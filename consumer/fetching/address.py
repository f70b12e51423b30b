"""Whether an address may be talked to: a pure decision, asked at every connection."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

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

# The IPv4 addresses that an IPv6 address carries, and to which a tunnel or translator would forward.

_IPV4_COMPATIBLE = IPv6Network("::/96")
_IPV4_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_SIX_TO_FOUR = IPv6Network("2002::/16")
_TEREDO = IPv6Network("2001::/32")

# RFC 5214, section 6.1, with the universal/local bit clear or set. The prefix may be any.
_ISATAP_IDENTIFIERS = frozenset({0x0000_5EFE, 0x0200_5EFE})

_IN_LOW_BITS = (_IPV4_COMPATIBLE, _IPV4_TRANSLATED, NAT64_PREFIX, NAT64_LOCAL_PREFIX)
_MASK = 0xFFFF_FFFF


def embedded_addresses(ip: IPv6Address) -> tuple[IPv4Address, ...]:
    """Give every IPv4 address that `ip` carries; empty for a native one.

    Covered: IPv4-compatible (RFC 4291), IPv4-translated (RFC 2765), NAT64 with a prefix of 96 bits
    (RFC 6052), 6to4 (RFC 3056), Teredo's server and client (RFC 4380) and ISATAP (RFC 5214).
    IPv4-mapped is left to the caller: no tunnel, but IPv4 itself as a socket writes it.
    """
    bits = int(ip)
    if bits <= 1:  # "::" and "::1" lie in the IPv4-compatible range without being of that kind
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


_NAT64_EMBEDDING_LENGTH = 96


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an address is not talked to. For our logs: it names networks, so customers never see it."""

    network: str
    reason: str
    source: str


def check_address(
    ip: IPAddress,
    allowed_networks: tuple[IPNetwork, ...],
    *,
    nat64_allowed: bool = False,
) -> Refusal | None:
    """Judge one address; None means that it may be talked to.

    `allowed_networks` opens networks that are refused otherwise, but a metadata endpoint only when
    it is named exactly (/32 or /128), and a tunnel only around an IPv4 address that may be talked
    to itself. `nat64_allowed` opens 64:ff9b::/96 (RFC 6052) around public addresses, which
    IPv6-only clusters need.
    """
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        return check_address(ip.ipv4_mapped, allowed_networks)
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return check_address(IPv6Address(int(ip)), allowed_networks, nat64_allowed=nat64_allowed)
    return (
        _judge_metadata(ip, allowed_networks)
        or _judge_embedded(ip, allowed_networks)
        or _judge_network(ip, allowed_networks, nat64_allowed=nat64_allowed)
    )


def _judge_metadata(ip: IPAddress, allowed_networks: tuple[IPNetwork, ...]) -> Refusal | None:
    endpoint = METADATA_ENDPOINTS.get(ip)
    if endpoint is None or any(
        network.num_addresses == 1 and ip in network for network in allowed_networks
    ):
        return None
    name, source = endpoint
    return Refusal(str(ip), name, source)


def _judge_embedded(ip: IPAddress, allowed_networks: tuple[IPNetwork, ...]) -> Refusal | None:
    if not isinstance(ip, IPv6Address):
        return None
    verdicts = (check_address(inner, allowed_networks) for inner in embedded_addresses(ip))
    refusal = next(filter(None, verdicts), None)
    if refusal is None:
        return None
    return Refusal(refusal.network, f"carries {refusal.reason}", refusal.source)


def _judge_network(
    ip: IPAddress, allowed_networks: tuple[IPNetwork, ...], *, nat64_allowed: bool
) -> Refusal | None:
    if any(ip in network and _may_open(network, ip) for network in allowed_networks):
        return None
    if nat64_allowed and ip in NAT64_PREFIX:
        return None
    for special in IPV4_SPECIAL if isinstance(ip, IPv4Address) else IPV6_SPECIAL:
        if ip in special.network:
            return Refusal(str(special.network), special.purpose, special.source)
    if isinstance(ip, IPv6Address) and ip not in GLOBAL_UNICAST_V6:
        return Refusal(f"outside {GLOBAL_UNICAST_V6}", "not global unicast", "RFC 4291")
    return None


def _may_open(network: IPNetwork, ip: IPAddress) -> bool:
    # A local NAT64 prefix may be shorter than 96 bits (RFC 8215), and nothing in the address tells
    # where its IPv4 address then stands. So only a prefix whose embedding is known opens it.
    return ip not in NAT64_LOCAL_PREFIX or network.prefixlen >= _NAT64_EMBEDDING_LENGTH

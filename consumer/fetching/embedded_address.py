"""The IPv4 addresses that an IPv6 address carries, and to which a tunnel or translator would forward."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

from consumer.fetching.special_networks import NAT64_LOCAL_PREFIX, NAT64_PREFIX

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

"""Special-purpose networks and metadata endpoints, which the SSRF guard blocks.

Sources: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890), the RFC named in each row,
and the documentation of the cloud providers. Python's `ipaddress.is_global` is no substitute: from
3.11 to 3.13 it allows multicast, tunnels around private addresses and 192.0.0.192.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SpecialNetwork:
    """A blocked network: its purpose, and the RFC or provider that defines it."""

    network: IPNetwork
    purpose: str
    source: str


def _special(network: str, purpose: str, source: str) -> SpecialNetwork:
    return SpecialNetwork(ip_network(network), purpose, source)


NAT64_PREFIX = IPv6Network("64:ff9b::/96")
NAT64_LOCAL_PREFIX = IPv6Network("64:ff9b:1::/48")
GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")

IPV4_SPECIAL = (
    _special("0.0.0.0/8", "this network", "RFC 791"),
    _special("10.0.0.0/8", "private use", "RFC 1918"),
    _special("100.64.0.0/10", "carrier-grade NAT", "RFC 6598"),
    _special("127.0.0.0/8", "loopback", "RFC 1122"),
    _special("169.254.0.0/16", "link local", "RFC 3927"),
    _special("172.16.0.0/12", "private use", "RFC 1918"),
    _special("192.0.0.0/24", "IETF protocol assignments", "RFC 6890"),
    _special("192.0.2.0/24", "documentation", "RFC 5737"),
    _special("192.31.196.0/24", "AS112", "RFC 7535"),
    _special("192.52.193.0/24", "automatic multicast tunnelling", "RFC 7450"),
    _special("192.88.99.0/24", "6to4 relay", "RFC 7526"),
    _special("192.168.0.0/16", "private use", "RFC 1918"),
    _special("192.175.48.0/24", "AS112", "RFC 7534"),
    _special("198.18.0.0/15", "benchmarking", "RFC 2544"),
    _special("198.51.100.0/24", "documentation", "RFC 5737"),
    _special("203.0.113.0/24", "documentation", "RFC 5737"),
    _special("224.0.0.0/4", "multicast", "RFC 5771"),
    _special("255.255.255.255/32", "limited broadcast", "RFC 8190"),
    _special("240.0.0.0/4", "reserved", "RFC 1112"),
)

IPV6_SPECIAL = (
    _special("::/128", "unspecified", "RFC 4291"),
    _special("::1/128", "loopback", "RFC 4291"),
    _special("::/96", "IPv4-compatible", "RFC 4291"),
    _special("::ffff:0:0/96", "IPv4-mapped", "RFC 4291"),
    _special("::ffff:0:0:0/96", "IPv4-translated", "RFC 2765"),
    _special(str(NAT64_PREFIX), "NAT64", "RFC 6052"),
    _special(str(NAT64_LOCAL_PREFIX), "local NAT64", "RFC 8215"),
    _special("100::/64", "discard only", "RFC 6666"),
    _special("100:0:0:1::/64", "dummy prefix", "RFC 9780"),
    _special("2001::/32", "Teredo", "RFC 4380"),
    _special("2001:2::/48", "benchmarking", "RFC 5180"),
    _special("2001:3::/32", "automatic multicast tunnelling", "RFC 7450"),
    _special("2001:4:112::/48", "AS112", "RFC 7535"),
    _special("2001:10::/28", "ORCHID", "RFC 4843"),
    _special("2001:20::/28", "ORCHIDv2", "RFC 7343"),
    _special("2001:30::/28", "drone remote ID", "RFC 9374"),
    _special("2001::/23", "IETF protocol assignments", "RFC 2928"),
    _special("2001:db8::/32", "documentation", "RFC 3849"),
    _special("2002::/16", "6to4", "RFC 3056"),
    _special("2620:4f:8000::/48", "AS112", "RFC 7534"),
    _special("3fff::/20", "documentation", "RFC 9637"),
    _special("5f00::/16", "segment routing", "RFC 9602"),
    _special("fc00::/7", "unique local", "RFC 4193"),
    _special("fe80::/10", "link local", "RFC 4291"),
    _special("fec0::/10", "site local", "RFC 3879"),
    _special("ff00::/8", "multicast", "RFC 4291"),
)

# Some are globally routable (Azure), or lie in a network that an operator may allow.
METADATA_ENDPOINTS = {
    ip_address(address): (name, source)
    for address, name, source in (
        ("169.254.169.254", "instance metadata", "AWS, Azure, GCP, Oracle, OpenStack"),
        ("fd00:ec2::254", "instance metadata", "AWS EC2"),
        ("169.254.170.2", "task credentials", "AWS ECS"),
        ("169.254.170.23", "pod identity", "AWS EKS"),
        ("fd00:ec2::23", "pod identity", "AWS EKS"),
        ("168.63.129.16", "WireServer", "Azure"),
        ("fd20:ce::254", "instance metadata", "GCP"),
        ("100.100.100.200", "instance metadata", "Alibaba Cloud"),
        ("192.0.0.192", "instance metadata", "Oracle Cloud"),
        ("fd00:c1::a9fe:a9fe", "instance metadata", "Oracle Cloud"),
        ("fe80::a9fe:a9fe", "instance metadata", "OpenStack"),
        ("169.254.0.23", "instance metadata", "Tencent Cloud"),
        ("169.254.42.42", "instance metadata", "Scaleway"),
        ("fd00:42::42", "instance metadata", "Scaleway"),
    )
}

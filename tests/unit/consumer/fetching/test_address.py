"""SSRF guard: the addresses that may be connected to."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetching.address import BlockedReason, blocked_failure, check_address
from consumer.fetching.networks import IPV4_SPECIAL, IPV6_SPECIAL, METADATA_ENDPOINTS, IPNetwork
from core.errors import BlockedAddress, DnsFailed, ImageFailure
from harness.address_vectors import AddressVector, address_vectors

EVERYTHING: tuple[IPNetwork, ...] = (ip_network("0.0.0.0/0"), ip_network("::/0"))

blocked_ipv4 = st.sampled_from(IPV4_SPECIAL).flatmap(
    lambda special: st.ip_addresses(network=special.network)
)


def in_low_bits(prefix: str) -> "st.SearchStrategy[IPv6Address]":
    base = int(IPv6Network(prefix)[0])
    return blocked_ipv4.map(lambda inner: IPv6Address(base | int(inner)))


tunnels = st.one_of(
    in_low_bits("::ffff:0:0/96"),
    in_low_bits("::ffff:0:0:0/96"),
    in_low_bits("64:ff9b::/96"),
    in_low_bits("64:ff9b:1::/48"),
    in_low_bits("2606:4700::5efe:0:0/96"),
    in_low_bits("2606:4700::200:5efe:0:0/96"),
    blocked_ipv4.map(lambda inner: IPv6Address(0x2002 << 112 | int(inner) << 80)),
    blocked_ipv4.map(lambda inner: IPv6Address(0x20010000 << 96 | int(inner) << 64)),
    blocked_ipv4.map(
        lambda inner: IPv6Address(0x20010000 << 96 | 0x08080808 << 64 | (~int(inner) & 0xFFFFFFFF))
    ),
)


@pytest.mark.parametrize("row", address_vectors("blocked"), ids=lambda row: row.host)
def test_an_address_is_blocked_with_a_reason(row: AddressVector) -> None:
    """Every row is blocked, and the result names the rule."""
    refusal = check_address(ip_address(row.host), ())
    assert refusal is not None
    assert refusal.network
    assert refusal.reason
    assert refusal.source


@pytest.mark.parametrize("row", address_vectors("allowed"), ids=lambda row: row.host)
def test_a_public_address_is_allowed(row: AddressVector) -> None:
    """The guard blocks nothing that the public internet needs."""
    assert check_address(ip_address(row.host), ()) is None


@given(
    st.sampled_from(IPV4_SPECIAL + IPV6_SPECIAL).flatmap(
        lambda s: st.ip_addresses(network=s.network)
    )
)
def test_every_address_of_a_special_network_is_blocked(ip: IPv4Address | IPv6Address) -> None:
    """Every part of a network is blocked. IPv4-mapped addresses follow the rules of IPv4."""
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        assert check_address(ip, ()) == check_address(ip.ipv4_mapped, ())
    else:
        assert check_address(ip, ()) is not None


@given(tunnels, st.booleans())
def test_a_tunnel_around_a_blocked_address_is_blocked(ip: IPv6Address, nat64: bool) -> None:
    """A tunnel would forward to the IPv4 address inside, which is blocked."""
    assert check_address(ip, (), nat64_allowed=nat64) is not None


@given(tunnels)
def test_opening_a_tunnel_does_not_open_what_it_carries(ip: IPv6Address) -> None:
    """An allow list with only IPv6 networks never opens a blocked IPv4 address."""
    assert check_address(ip, (ip_network("::/0"),)) is not None


@given(st.ip_addresses(), st.booleans())
def test_any_address_is_decided(ip: IPv4Address | IPv6Address, nat64: bool) -> None:
    """No address makes the guard raise, with or without an allow list."""
    check_address(ip, EVERYTHING, nat64_allowed=nat64)
    assert nat64 or check_address(ip, ()) == check_address(ip, (), nat64_allowed=False)


@pytest.mark.parametrize("endpoint", METADATA_ENDPOINTS, ids=str)
def test_a_metadata_endpoint_opens_only_by_its_exact_address(
    endpoint: IPv4Address | IPv6Address,
) -> None:
    """An operator who allows a network does not mean to allow the credentials inside it."""
    assert check_address(endpoint, EVERYTHING) is not None
    assert check_address(endpoint, (ip_network(endpoint),)) is None


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("10.1.2.3", "10.0.0.0/8"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("::ffff:127.0.0.1", "127.0.0.0/8"),
        ("::1", "::1/128"),
        ("fd12::1", "fd00::/8"),
        ("64:ff9b:1::8.8.8.8", "64:ff9b:1::/96"),
        ("2002:808:808::1", "2002::/16"),
    ],
)
def test_an_allowed_network_opens_its_addresses(ip: str, network: str) -> None:
    """The allow list opens the network that it names."""
    assert check_address(ip_address(ip), ()) is not None
    assert check_address(ip_address(ip), (ip_network(network),)) is None


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("127.0.0.2", "127.0.0.1/32"),
        ("2002:7f00:1::1", "2002::/16"),
        ("64:ff9b:1:a00:0:100:808:808", "64:ff9b:1::/48"),
        ("2606:4700::5efe:10.0.0.1", "2606:4700::/32"),
    ],
)
def test_an_allowed_network_opens_nothing_else(ip: str, network: str) -> None:
    """Adjacent addresses, blocked addresses inside tunnels and unknown NAT64 formats stay closed."""
    assert check_address(ip_address(ip), (ip_network(network),)) is not None


def test_nat64_around_a_public_address_is_a_setting() -> None:
    """IPv6-only clusters reach the IPv4 internet through it. By default it is closed."""
    public = ip_address("64:ff9b::8.8.8.8")
    assert check_address(public, ()) is not None
    assert check_address(public, (), nat64_allowed=True) is None


def test_a_zone_does_not_disguise_an_address() -> None:
    """A scoped address is checked like the address without its zone."""
    everything_local = (ip_network("fe80::/10"),)
    assert check_address(ip_address("fe80::a9fe:a9fe%lo"), everything_local) is not None
    assert check_address(ip_address("fe80::1%lo"), everything_local) is None


@pytest.mark.parametrize(
    ("host", "failure"),
    [
        ("10.0.0.1", BlockedAddress),
        ("::1", BlockedAddress),
        ("::ffff:a00:1", BlockedAddress),
        ("internal.example", DnsFailed),
        ("localhost", DnsFailed),
        ("xn--ls8h.example.", DnsFailed),
    ],
)
def test_only_an_address_in_the_url_fails_as_blocked(
    host: str, failure: type[ImageFailure]
) -> None:
    """A name fails as one that does not exist. Only the operator's detail has the network."""
    reason = BlockedReason("10.0.0.0/8", "private use", "RFC 1918")
    failed = blocked_failure(host, [reason, reason])
    assert type(failed) is failure
    assert str(failed) == str(failure())
    assert failed.operator_detail == "10.0.0.0/8 is blocked: private use (RFC 1918)"
    assert blocked_failure(host, []) is None

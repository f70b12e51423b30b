"""Egress of pods under all network policies together: a connection is allowed if any policy allows it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, of_kind

Network = IPv4Network | IPv6Network
EVERY_PORT = range(1, 65_536)


@dataclass(frozen=True, slots=True)
class Block:
    """Allowed addresses, and port ranges as (protocol, first, last)."""

    allowed: Network
    excepted: tuple[Network, ...]
    ports: tuple[tuple[str, int, int], ...]

    def has(self, address: IPv4Address | IPv6Address) -> bool:
        return address in self.allowed and not any(address in each for each in self.excepted)

    def networks(self) -> list[Network]:
        """Return the allowed addresses as networks without exceptions."""
        left: list[Network] = [self.allowed]
        for excepted in self.excepted:
            left = [part for network in left for part in _without(network, excepted)]
        return left


@dataclass(frozen=True, slots=True)
class Egress:
    """Egress of one pod. If it is not `isolated`, every connection is allowed."""

    isolated: bool
    blocks: tuple[Block, ...]
    peers: tuple[Mapping[str, Any], ...]
    """Rules that allow pods by label instead of addresses."""

    @classmethod
    def of(cls, pod: PodTemplate, objects: Iterable[Object]) -> "Egress":
        policies = [
            policy["spec"]
            for policy in of_kind(objects, "NetworkPolicy")
            if "Egress" in policy["spec"]["policyTypes"]
            and pod.matches(policy["spec"]["podSelector"])
        ]
        rules = [rule for policy in policies for rule in policy.get("egress", [])]
        return cls(
            isolated=bool(policies),
            blocks=tuple(block for rule in rules for block in _blocks(rule)),
            peers=tuple(rule for rule in rules if not all("ipBlock" in to for to in rule["to"])),
        )

    def ports(self, address: str, protocol: str = "TCP") -> set[int]:
        """Return the allowed ports of an address outside the cluster."""
        if not self.isolated:
            return set(EVERY_PORT)
        judged = ip_address(address)
        ranges = [each for block in self.blocks if block.has(judged) for each in block.ports]
        return {
            port
            for kind, first, last in ranges
            if kind == protocol
            for port in range(first, last + 1)
        }


def _blocks(rule: Mapping[str, Any]) -> Iterator[Block]:
    # A rule without ports or peers allows all of them. Our manifests must not have such a rule.
    ports = tuple(
        (port["protocol"], port["port"], port.get("endPort", port["port"]))
        for port in rule["ports"]
    )
    for to in rule["to"]:
        if "ipBlock" in to:
            excepted = tuple(ip_network(each) for each in to["ipBlock"].get("except", []))
            yield Block(ip_network(to["ipBlock"]["cidr"]), excepted, ports)


def _without(network: Network, excepted: Network) -> Iterator[Network]:
    if network.version != excepted.version or not network.overlaps(excepted):
        yield network
    elif network != excepted and not _contains(excepted, network):
        yield from _parts(network, excepted)


def _contains(outer: Network, inner: Network) -> bool:
    if isinstance(outer, IPv4Network):
        return isinstance(inner, IPv4Network) and inner.subnet_of(outer)
    return isinstance(inner, IPv6Network) and inner.subnet_of(outer)


def _parts(network: Network, excepted: Network) -> Iterator[Network]:
    if isinstance(network, IPv4Network) and isinstance(excepted, IPv4Network):
        yield from network.address_exclude(excepted)
    if isinstance(network, IPv6Network) and isinstance(excepted, IPv6Network):
        yield from network.address_exclude(excepted)

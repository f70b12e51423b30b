"""Network policies as a union: pods may connect where they must, and to no private address."""

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

import pytest

from cluster.manifests.egress import EVERY_PORT, Egress
from cluster.manifests.overlays import WITH_SEARCH, Object, Tree, find
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates
from consumer.fetching.networks import IPV4_SPECIAL, IPV6_SPECIAL, METADATA_ENDPOINTS
from core.model.origin_url import InvalidOriginUrl, parse_origin_url

AGENTS = ("169.254.170.23", "fd00:ec2::23")
SPECIAL = [ip_network(each.network) for each in (*IPV4_SPECIAL, *IPV6_SPECIAL)]
METADATA = [ip_network(str(each)) for each in METADATA_ENDPOINTS]
INTERNET = ("1.1.1.1", "52.94.5.1", "2606:4700::1111", "2600:1f18::1")
OVERLAYS = ("staging", "eks", WITH_SEARCH["eks"])
POLICIES = ["imageservice-aws", "imageservice-origins"]


@pytest.fixture(params=OVERLAYS)
def guarded(request: pytest.FixtureRequest, built: Mapping[str, list[Object]]) -> list[Object]:
    """Return the objects of each overlay that has network policies."""
    return built[request.param]


def egresses(objects: list[Object]) -> dict[str, Egress]:
    return {pod.component: Egress.of(pod, objects) for pod in pod_templates(objects)}


def private_faults(objects: list[Object]) -> list[str]:
    """Return the networks that pods may reach although the SSRF guard refuses them, except the Pod Identity agent."""
    agents = {ip_network(agent) for agent in AGENTS}
    return [
        f"{component}: {network} of {special}"
        for component, egress in egresses(objects).items()
        for block in egress.blocks
        for network in block.networks()
        for special in [*SPECIAL, *METADATA]
        if network.version == special.version
        and network.overlaps(special)
        and network not in agents
    ]


def test_everything_is_denied_by_default(guarded: list[Object]) -> None:
    """One policy selects every pod of the namespace for both directions and allows nothing."""
    spec = find(guarded, "NetworkPolicy/default-deny")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert all(egress.isolated for egress in egresses(guarded).values())


def test_private_networks_are_not_reachable(guarded: list[Object]) -> None:
    """No policy of any pod allows an address that the SSRF guard of the consumer refuses, on any port."""
    assert private_faults(guarded) == []


def test_public_networks_are_not_excluded(guarded: list[Object]) -> None:
    """Policies exclude only networks that the SSRF guard refuses. Otherwise a policy would fail an allowed image."""
    for block in (block for egress in egresses(guarded).values() for block in egress.blocks):
        for excepted in block.excepted:
            judged = [each for each in [*SPECIAL, *METADATA] if each.version == excepted.version]
            assert any(excepted.subnet_of(each) for each in judged), excepted  # type: ignore[arg-type]


@pytest.mark.parametrize("address", [str(each) for each in METADATA_ENDPOINTS])
def test_metadata_endpoints_are_not_reachable(guarded: list[Object], address: str) -> None:
    """Pods cannot reach any endpoint that returns credentials, except the Pod Identity agent on its port."""
    for egress in egresses(guarded).values():
        assert egress.ports(address) == ({80} if address in AGENTS else set())
        assert egress.ports(address, "UDP") == set()


def test_without_pod_identity_the_agent_is_not_reachable(tree: Tree) -> None:
    """Only the component allows the Pod Identity agent."""
    tree.change("overlays/eks/kustomization.yaml", "  - ../../components/pod-identity\n", "")
    for egress in egresses(tree.build("eks")).values():
        assert not any(egress.ports(agent) for agent in AGENTS)


def test_pod_identity_alone_closes_nothing(tree: Tree) -> None:
    """Without network policies the component adds none, because it would block all other egress."""
    tree.change("overlays/eks/kustomization.yaml", "  - ../../components/network-policy\n", "")
    assert of_kind(tree.build("eks"), "NetworkPolicy") == []


@pytest.mark.parametrize("address", INTERNET)
def test_all_pods_reach_aws(guarded: list[Object], address: str) -> None:
    """Every pod reaches port 443 of public addresses, and all except the consumer no other port."""
    for component, egress in egresses(guarded).items():
        assert 443 in egress.ports(address)
        assert component == "consumer" or egress.ports(address) == {443}


@pytest.mark.parametrize("address", INTERNET)
def test_the_consumer_reaches_origins_on_their_ports(guarded: list[Object], address: str) -> None:
    """The consumer reaches every port that a URL may have, and no other privileged port."""
    reached = egresses(guarded)["consumer"].ports(address)
    assert {port for port in EVERY_PORT if _may_be_named(port)} <= reached
    assert {port for port in reached if port < 1_024} == {80, 443}


def _may_be_named(port: int) -> bool:
    try:
        parse_origin_url(f"http://example.com:{port}/")
    except InvalidOriginUrl:
        return False
    return True


def test_all_pods_reach_dns(guarded: list[Object]) -> None:
    """Every pod reaches the DNS of the cluster, and no other pod."""
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    for egress in egresses(guarded).values():
        assert egress.peers == ({"to": [dns], "ports": ports},)


def callers(objects: list[Object], pod: PodTemplate) -> dict[Any, list[Any]]:
    """Return the sources that may connect to a pod, by port."""
    found: dict[Any, list[Any]] = {}
    for policy in of_kind(objects, "NetworkPolicy"):
        if pod.matches(policy["spec"]["podSelector"]):
            for rule in policy["spec"].get("ingress", []):
                for port in rule["ports"]:
                    found.setdefault(port["port"], []).extend(rule["from"])
    return found


def test_only_intended_sources_reach_pods(guarded: list[Object]) -> None:
    """Labelled namespaces may call gRPC, Prometheus may scrape metrics, and nothing else is open."""
    clients = {"namespaceSelector": {"matchLabels": {"imageservice-client": "true"}}}
    prometheus = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
    }
    found = {pod.component: callers(guarded, pod) for pod in pod_templates(guarded)}
    open_to = {
        "server": {"grpc": [clients], "metrics": [prometheus]},
        "consumer": {"metrics": [prometheus]},
        "indexer": {"metrics": [prometheus]},
        "queue-exporter": {"metrics": [prometheus]},
        "reconcile": {},
        "reindex": {},
    }
    assert found == {component: open_to[component] for component in found}


@pytest.mark.parametrize("name", POLICIES)
def test_a_network_that_is_not_excluded_is_found(eks: list[Object], name: str) -> None:
    """A private network that one policy does not exclude is reachable, whatever the other policy excludes."""
    block = find(eks, f"NetworkPolicy/{name}")["spec"]["egress"][0]["to"][0]["ipBlock"]
    block["except"].remove("100.64.0.0/10")
    assert any("100.64.0.0/10" in fault for fault in private_faults(eks))


def test_an_additional_policy_is_found(eks: list[Object]) -> None:
    """An additional policy opens what all others close, because policies add up."""
    narrow = find(eks, "NetworkPolicy/imageservice-aws")
    rule = {
        "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
        "ports": [{"protocol": "TCP", "port": 443}],
    }
    eks.append({**narrow, "spec": {**narrow["spec"], "egress": [rule]}})
    assert any("10.1.0.0/16" in fault for fault in private_faults(eks))

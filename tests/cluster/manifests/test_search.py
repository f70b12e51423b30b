"""Search is a component: a line of an overlay, and for an engine of one's own a secret and a rule besides."""

import re
from collections.abc import Iterator

import pytest
import yaml

from cluster.manifests import environments
from cluster.manifests.egress import Egress
from cluster.manifests.overlays import ENGINES, SEARCH, Object, Tree
from cluster.manifests.plants import find
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates, title
from cluster.manifests.references import faults

ASKERS = {
    "Deployment/imageservice-server",
    "Deployment/imageservice-indexer",
    "CronJob/imageservice-reindex",
}
ENGINE = "https://search:secret@10.0.48.7:9200"
QUEUE = "https://sqs.eu-central-1.amazonaws.com/111122223333/imageservice-search"
OVERLAY = "overlays/eks/kustomization.yaml"
_HASH = re.compile("-[a-z0-9]{10}$")


@pytest.fixture
def with_an_engine(tree: Tree) -> Tree:
    """The overlay for EKS with an engine of one's own, by the component's own words."""
    tree.with_search("eks")
    (tree.folder / "overlays" / "eks" / "search.env").write_text(f"SEARCH_URL={ENGINE}\n")
    secret = "  - name: imageservice-search\n    envs: [search.env]\n"
    tree.change(OVERLAY, "secretGenerator:\n", f"secretGenerator:\n{secret}")
    return tree


def rules(tree: Tree) -> Iterator[str]:
    """The changes of the network policy that the component offers, without their comment sign."""
    text = (tree.folder / SEARCH / "kustomization.yaml").read_text()
    for line in text.splitlines():
        if "op: add, path: /spec/egress/-" in line:
            yield line.removeprefix("#").strip()


def reached(tree: Tree, rule: str) -> dict[str, Egress]:
    """Where pods may connect to once the overlay has the rule."""
    patch = f"patches:\n- target: {{kind: NetworkPolicy, name: imageservice-aws}}\n  patch: |-\n    {rule}\n"
    tree.change(OVERLAY, "configMapGenerator:\n", f"{patch}configMapGenerator:\n")
    objects = tree.build("eks")
    return {pod.owner: Egress.of(pod, objects) for pod in pod_templates(objects)}


def pods(objects: list[Object]) -> dict[str, PodTemplate]:
    return {pod.owner: pod for pod in pod_templates(objects)}


def titles(objects: list[Object]) -> set[str]:
    """Kinds and names; of a generated name, without its hash."""
    return {_HASH.sub("", title(each)) for each in objects}


def test_without_it_nothing_is_there(eks: list[Object]) -> None:
    """An overlay as it stands needs no search engine."""
    assert not any("index" in owner for owner in pods(eks))
    assert len(of_kind(eks, "ScaledObject")) == 1


def test_a_line_brings_the_indexer(searching: list[Object], eks: list[Object]) -> None:
    """And nothing but what belongs to it: its pods, what scales and watches them, and what rebuilds the index."""
    added = titles(searching) - titles(eks)
    assert added == {
        "ServiceAccount/imageservice-indexer",
        "Deployment/imageservice-indexer",
        "PodDisruptionBudget/imageservice-indexer",
        "PodMonitor/imageservice-indexer",
        "ScaledObject/imageservice-indexer",
        "ConfigMap/imageservice-indexer",
        "CronJob/imageservice-reindex",
    }


def test_indexers_follow_their_own_queue(searching: list[Object]) -> None:
    """At least one runs, so that search is seconds behind; more come with the depth of the queue of events."""
    spec = find(searching, "ScaledObject/imageservice-indexer")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["queueURL"] == QUEUE
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)


def test_reindex_is_started_by_somebody(searching: list[Object]) -> None:
    """It never runs by itself, and is the indexer's pod with another command."""
    assert find(searching, "CronJob/imageservice-reindex")["spec"]["suspend"] is True
    found = pods(searching)
    reindex, indexer = (
        found[owner]
        for owner in ("CronJob/imageservice-reindex", "Deployment/imageservice-indexer")
    )
    assert reindex.container["envFrom"] == indexer.container["envFrom"]
    assert reindex.spec["serviceAccountName"] == indexer.spec["serviceAccountName"]


def test_a_domain_is_known_by_the_stacks_settings(searching: list[Object]) -> None:
    """With Search=domain there is nothing more to tell, and calls are signed."""
    for owner in ASKERS:
        told = environments.environment(pods(searching)[owner], searching)
        settings = [f"{name}={told[name][1]}" for name in ("SEARCH_URL", "SEARCH_SIGNED")]
        assert settings == ENGINES["eks"].splitlines()


def test_an_indexer_without_an_engine_is_seen(tree: Tree) -> None:
    """With Search=queue and no secret it would not start, and the gate says so."""
    tree.with_search("eks")
    told = environments.faults(tree.build("eks"))
    assert any("imageservice-indexer: SEARCH_URL" in fault for fault in told)


def test_an_engine_of_ones_own_is_known_by_a_secret(with_an_engine: Tree) -> None:
    """It comes after the stack's settings, in whose place it stands; who does not search is not told."""
    objects = with_an_engine.build("eks")
    assert faults(objects) == []
    told = {
        owner
        for owner, pod in pods(objects).items()
        if environments.environment(pod, objects).get("SEARCH_URL", ("", ""))[1] == ENGINE
    }
    assert told == ASKERS


def test_another_password_rolls_the_pods(with_an_engine: Tree) -> None:
    """The secret's name follows what it holds."""
    before = {owner: pod.spec for owner, pod in pods(with_an_engine.build("eks")).items()}
    with_an_engine.change("overlays/eks/search.env", "secret@", "another@")
    after = {owner: pod.spec for owner, pod in pods(with_an_engine.build("eks")).items()}
    assert {owner for owner in after if after[owner] != before[owner]} == ASKERS


def test_a_domain_in_the_vpc_is_reached(with_an_engine: Tree) -> None:
    """By the component's rule for it, on port 443 of its subnets alone."""
    subnets, _ = rules(with_an_engine)
    for owner, egress in reached(with_an_engine, subnets).items():
        assert egress.ports("10.0.48.7") == {443}, owner
        assert egress.ports("10.0.49.7") == set(), owner


def test_an_engine_in_the_cluster_is_reached(with_an_engine: Tree) -> None:
    """By the component's rule for it, on its own port in its own namespace."""
    _, namespace = rules(with_an_engine)
    allowed = yaml.safe_load(namespace)[0]["value"]
    for owner, egress in reached(with_an_engine, namespace).items():
        assert allowed in egress.peers, owner
        assert egress.ports("10.0.48.7") == set(), owner


def test_irsa_annotates_the_indexer(tree: Tree) -> None:
    """Where search comes before it, as in the overlays."""
    tree.with_search("eks")
    tree.change(OVERLAY, "  - ../../components/pod-identity", "  - ../../components/irsa")
    account = find(tree.build("eks"), "ServiceAccount/imageservice-indexer")
    role = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    assert role.endswith("imageservice-IndexerRole-EXAMPLE")


def test_an_overlay_builds_without_a_queue_for_events(tree: Tree) -> None:
    """A stack with Search=off has none, and its settings say so by being empty."""
    tree.change("overlays/eks/stack.env", f"SEARCH_QUEUE_URL={QUEUE}\n", "SEARCH_QUEUE_URL=\n")
    assert faults(tree.build("eks")) == []

"""Search is a component: one line of an overlay. An engine of your own also needs a Secret and a rule."""

import re
from collections.abc import Iterator

import pytest
import yaml

from cluster.manifests import environments
from cluster.manifests.egress import Egress
from cluster.manifests.overlays import ENGINES, SEARCH, Object, Tree, find
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates, title
from cluster.manifests.references import faults

SEARCHING = {
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
    """Return the EKS overlay with an engine of its own, as the component documents it."""
    tree.with_search("eks")
    (tree.folder / "overlays" / "eks" / "search.env").write_text(f"SEARCH_URL={ENGINE}\n")
    secret = "  - name: imageservice-search\n    envs: [search.env]\n"
    tree.change(OVERLAY, "secretGenerator:\n", f"secretGenerator:\n{secret}")
    return tree


def rules(tree: Tree) -> Iterator[str]:
    """Yield the rules of the network policy that the component documents in comments."""
    text = (tree.folder / SEARCH / "kustomization.yaml").read_text()
    for line in text.splitlines():
        if "op: add, path: /spec/egress/-" in line:
            yield line.removeprefix("#").strip()


def reached(tree: Tree, rule: str) -> dict[str, Egress]:
    """Return the egress of each pod if the overlay has the rule."""
    patch = f"patches:\n- target: {{kind: NetworkPolicy, name: imageservice-aws}}\n  patch: |-\n    {rule}\n"
    tree.change(OVERLAY, "configMapGenerator:\n", f"{patch}configMapGenerator:\n")
    objects = tree.build("eks")
    return {pod.owner: Egress.of(pod, objects) for pod in pod_templates(objects)}


def pods(objects: list[Object]) -> dict[str, PodTemplate]:
    return {pod.owner: pod for pod in pod_templates(objects)}


def titles(objects: list[Object]) -> set[str]:
    """Return kind/name of all objects, generated names without their hash."""
    return {_HASH.sub("", title(each)) for each in objects}


def test_without_the_component_there_is_no_indexer(eks: list[Object]) -> None:
    """The overlay as committed needs no search engine."""
    assert not any("index" in owner for owner in pods(eks))
    assert len(of_kind(eks, "ScaledObject")) == 1


def test_one_line_adds_the_indexer(searching: list[Object], eks: list[Object]) -> None:
    """The component adds the indexer's pods, their autoscaler and monitor, the reindex job, and nothing else."""
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


def test_indexers_scale_with_their_queue(searching: list[Object]) -> None:
    """At least one indexer runs, so that search is only seconds behind. More start with the depth of their queue."""
    spec = find(searching, "ScaledObject/imageservice-indexer")["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["queueURL"] == QUEUE
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 4)


def test_reindex_is_started_by_hand(searching: list[Object]) -> None:
    """Reindex is suspended, and is the pod of the indexer with another command."""
    assert find(searching, "CronJob/imageservice-reindex")["spec"]["suspend"] is True
    found = pods(searching)
    reindex, indexer = (
        found[owner]
        for owner in ("CronJob/imageservice-reindex", "Deployment/imageservice-indexer")
    )
    assert reindex.container["envFrom"] == indexer.container["envFrom"]
    assert reindex.spec["serviceAccountName"] == indexer.spec["serviceAccountName"]


def test_the_settings_of_the_stack_name_the_domain(searching: list[Object]) -> None:
    """With Search=domain stack.env has all settings, and calls are signed."""
    for owner in SEARCHING:
        variables = environments.environment(pods(searching)[owner], searching)
        settings = [f"{name}={variables[name][1]}" for name in ("SEARCH_URL", "SEARCH_SIGNED")]
        assert settings == ENGINES["eks"].splitlines()


def test_an_indexer_without_an_engine_is_found(tree: Tree) -> None:
    """With Search=queue and no Secret the indexer would not start, and the check reports it."""
    tree.with_search("eks")
    found = environments.faults(tree.build("eks"))
    assert any("imageservice-indexer: SEARCH_URL" in fault for fault in found)


def test_a_secret_names_an_engine_of_ones_own(with_an_engine: Tree) -> None:
    """The Secret overrides the settings of the stack. Pods that do not search do not get it."""
    objects = with_an_engine.build("eks")
    assert faults(objects) == []
    owners = {
        owner
        for owner, pod in pods(objects).items()
        if environments.environment(pod, objects).get("SEARCH_URL", ("", ""))[1] == ENGINE
    }
    assert owners == SEARCHING


def test_another_password_restarts_the_pods(with_an_engine: Tree) -> None:
    """The name of the Secret depends on its content."""
    before = {owner: pod.spec for owner, pod in pods(with_an_engine.build("eks")).items()}
    with_an_engine.change("overlays/eks/search.env", "secret@", "another@")
    after = {owner: pod.spec for owner, pod in pods(with_an_engine.build("eks")).items()}
    assert {owner for owner in after if after[owner] != before[owner]} == SEARCHING


def test_a_domain_in_the_vpc_is_reachable(with_an_engine: Tree) -> None:
    """The documented rule allows only port 443 of its subnets."""
    subnets, _ = rules(with_an_engine)
    for owner, egress in reached(with_an_engine, subnets).items():
        assert egress.ports("10.0.48.7") == {443}, owner
        assert egress.ports("10.0.49.7") == set(), owner


def test_an_engine_in_the_cluster_is_reachable(with_an_engine: Tree) -> None:
    """The documented rule allows only its port in its namespace."""
    _, namespace = rules(with_an_engine)
    allowed = yaml.safe_load(namespace)[0]["value"]
    for owner, egress in reached(with_an_engine, namespace).items():
        assert allowed in egress.peers, owner
        assert egress.ports("10.0.48.7") == set(), owner


def test_irsa_annotates_the_indexer(tree: Tree) -> None:
    """If search comes before irsa, as in the overlays."""
    tree.with_search("eks")
    tree.change(OVERLAY, "  - ../../components/pod-identity", "  - ../../components/irsa")
    account = find(tree.build("eks"), "ServiceAccount/imageservice-indexer")
    role = account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
    assert role.endswith("imageservice-IndexerRole-EXAMPLE")


def test_an_overlay_builds_without_a_queue_for_events(tree: Tree) -> None:
    """A stack with Search=off has no such queue, and its setting is empty."""
    tree.change("overlays/eks/stack.env", f"SEARCH_QUEUE_URL={QUEUE}\n", "SEARCH_QUEUE_URL=\n")
    assert faults(tree.build("eks")) == []

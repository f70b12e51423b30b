"""Overlays build with kubectl alone, from the repository and the settings of a stack."""

from pathlib import Path

import pytest

from cli.local.stack import StackOutputs
from cluster.manifests import overlays
from cluster.manifests.egress import Egress
from cluster.manifests.overlays import BuildRefused, KubectlMissing, Object, Tree
from cluster.manifests.pods import pod_templates
from cluster.manifests.references import faults

IMAGE = "imageservice"


def test_an_overlay_has_all_workloads(objects: list[Object]) -> None:
    """Every overlay has the server, the consumer, the exporter and reconcile."""
    components = {pod.component for pod in pod_templates(objects)}
    assert components - {"indexer", "reindex"} == {
        "server",
        "consumer",
        "queue-exporter",
        "reconcile",
    }


def test_all_workloads_have_one_image(objects: list[Object]) -> None:
    """Every workload has the image of the overlay."""
    images = {pod.container["image"] for pod in pod_templates(objects)}
    assert len(images) == 1
    assert IMAGE not in images


def test_a_missing_file_is_named(tree: Tree) -> None:
    """An overlay without the settings of its stack does not build, and the error names the file."""
    (tree.folder / "overlays" / "eks" / "stack.env").unlink()
    with pytest.raises(BuildRefused, match=r"stack\.env"):
        tree.build("eks")


def test_a_missing_kubectl_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without kubectl the error says how to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(KubectlMissing, match="make verify-cluster"):
        overlays.find_kubectl()


def test_settings_of_a_real_stack_are_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests use the examples, whatever stack this clone is configured for."""
    own = Tree.copied_to(tmp_path / "own").folder
    (own / "overlays" / "eks" / "stack.env").write_text("AWS_REGION=somewhere-else\n")
    monkeypatch.setattr(overlays, "SOURCE", own)
    copied = Tree.copied_to(tmp_path / "copy").folder / "overlays" / "eks" / "stack.env"
    assert copied.read_text() == copied.with_name("stack.env.example").read_text()


@pytest.mark.parametrize("overlay", ["local", "staging", "eks"])
def test_settings_are_those_of_the_stack(tree: Tree, overlay: str) -> None:
    """stack.env has exactly the names that `imageservice stack-settings` writes."""
    outputs = StackOutputs(**dict.fromkeys(StackOutputs.__dataclass_fields__, ""))
    roles = {
        name.upper() for name in StackOutputs.__dataclass_fields__ if name.endswith("role_arn")
    }
    lines = (tree.folder / "overlays" / overlay / "stack.env").read_text().splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert names == {"AWS_REGION", *outputs.environment(), *roles}


def test_a_changed_setting_restarts_the_pods(tree: Tree) -> None:
    """The name of a ConfigMap depends on its content, and the pod templates refer to that name."""
    before = {pod.owner: pod.spec for pod in pod_templates(tree.build("local"))}
    tree.change("base/server.env", "MAX_CONNECTION_AGE_S=300", "MAX_CONNECTION_AGE_S=301")
    after = {pod.owner: pod.spec for pod in pod_templates(tree.build("local"))}
    changed = {owner for owner, spec in after.items() if spec != before[owner]}
    assert changed == {"Deployment/imageservice-server"}


def test_redis_is_a_component(tree: Tree) -> None:
    """With the component, server, consumer and reconcile get REDIS_URL from a Secret, and may connect to Redis."""
    (tree.folder / "overlays" / "eks" / "redis.env").write_text("REDIS_URL=rediss://cache.example")
    component = (tree.folder / "components" / "redis" / "kustomization.yaml").read_text()
    (rule,) = (
        line[1:] for line in component.splitlines() if "op: add, path: /spec/egress/-" in line
    )
    tree.change(
        "overlays/eks/kustomization.yaml",
        "  - ../../components/pod-identity\n",
        "  - ../../components/pod-identity\n  - ../../components/redis\n"
        "patches:\n- target: {kind: NetworkPolicy, name: imageservice-aws}\n  patch: |-\n" + rule,
    )
    tree.change(
        "overlays/eks/kustomization.yaml",
        "secretGenerator:\n",
        "secretGenerator:\n  - name: imageservice-redis\n    envs: [redis.env]\n",
    )
    objects = tree.build("eks")
    assert faults(objects) == []
    pods = {pod.owner: pod for pod in pod_templates(objects)}
    owners = {
        owner
        for owner, pod in pods.items()
        for source in pod.container.get("envFrom", [])
        if "imageservice-redis" in source.get("secretRef", {}).get("name", "")
    }
    assert owners == {
        "Deployment/imageservice-server",
        "Deployment/imageservice-consumer",
        "CronJob/imageservice-reconcile",
    }
    for owner in owners:
        reached = Egress.of(pods[owner], objects)
        assert reached.ports("10.0.32.7") == {6379}
        assert reached.ports("10.0.33.7") == set()


def test_presets_of_renditions_are_a_component(tree: Tree) -> None:
    """Server, consumer and reconcile read the same file. A changed file has another name, which restarts the pods."""
    overlay = tree.folder / "overlays" / "eks"
    tree.change(
        "overlays/eks/kustomization.yaml",
        "  - ../../components/pod-identity\n",
        "  - ../../components/pod-identity\n  - ../../components/renditions\n",
    )
    tree.change(
        "overlays/eks/kustomization.yaml",
        "configMapGenerator:\n",
        "configMapGenerator:\n  - name: imageservice-renditions\n    files: [renditions.toml]\n",
    )
    names = set()
    for side in (256, 320):
        text = f'[presets.thumbnail]\nlongest_side = {side}\nformat = "WEBP"\n'
        (overlay / "renditions.toml").write_text(text)
        objects = tree.build("eks")
        assert faults(objects) == []
        mounted = {
            pod.owner: volume["configMap"]["name"]
            for pod in pod_templates(objects)
            for volume in pod.spec.get("volumes", [])
            if volume["name"] == "renditions"
        }
        assert mounted.keys() == {
            "Deployment/imageservice-server",
            "Deployment/imageservice-consumer",
            "CronJob/imageservice-reconcile",
        }
        names |= set(mounted.values())
    assert len(names) == 2


@pytest.mark.parametrize("generated", [True, False], ids=["generated", "of another program"])
def test_credentials_of_private_origins_are_a_component(tree: Tree, generated: bool) -> None:
    """Only consumers have the file. The mount is a folder, whose files the kubelet updates."""
    tree.change(
        "overlays/eks/kustomization.yaml",
        "  - ../../components/pod-identity\n",
        "  - ../../components/pod-identity\n  - ../../components/private-origins\n",
    )
    if generated:
        (tree.folder / "overlays" / "eks" / "private-origins.toml").write_text("origins = []\n")
        tree.change(
            "overlays/eks/kustomization.yaml",
            "secretGenerator:\n",
            "secretGenerator:\n  - name: imageservice-private-origins\n    files: [private-origins.toml]\n",
        )
    objects = tree.build("eks")
    mounted = {
        pod.owner: (pod, volume["secret"]["secretName"])
        for pod in pod_templates(objects)
        for volume in pod.spec.get("volumes", [])
        if volume["name"] == "private-origins"
    }
    ((owner, (pod, secret)),) = mounted.items()
    assert owner == "Deployment/imageservice-consumer"
    (mount,) = (m for m in pod.container["volumeMounts"] if m["name"] == "private-origins")
    environment = {each["name"]: each.get("value") for each in pod.container["env"]}
    folder, _, key = str(environment["CREDENTIALS_FILE"]).rpartition("/")
    assert (mount["mountPath"], mount["readOnly"]) == (folder, True)
    assert "subPath" not in mount
    secrets = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Secret"}
    if generated:
        assert key in secrets[secret]["data"]
    else:
        assert secret == "imageservice-private-origins"


def test_irsa_is_one_line(tree: Tree) -> None:
    """With irsa instead of pod-identity, each service account is annotated with its role."""
    tree.change(
        "overlays/eks/kustomization.yaml",
        "  - ../../components/pod-identity",
        "  - ../../components/irsa",
    )
    roles = {
        each["metadata"]["name"]: each["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
        for each in tree.build("eks")
        if each["kind"] == "ServiceAccount"
    }
    assert {name: role.partition("/")[2] for name, role in roles.items()} == {
        f"imageservice-{name}": f"imageservice-{name.capitalize()}Role-EXAMPLE"
        for name in ("server", "consumer", "operator", "exporter")
    }

"""Pods start with settings that their program accepts, and with budgets that fit them. checkov checks their rights."""

from typing import Any

import pytest

from cluster.manifests import budgets, environments, references
from cluster.manifests.overlays import REMOVED, Object, Tree, find, plant

SERVER = "Deployment/imageservice-server"
CONSUMER = "Deployment/imageservice-consumer"
INDEXER = "Deployment/imageservice-indexer"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def test_programs_accept_their_environment(objects: list[Object]) -> None:
    """Commands exist, required settings are set and valid, and no variable is set that no program reads."""
    assert environments.faults(objects) == []


def test_budgets_fit(objects: list[Object]) -> None:
    """Grace periods exceed a drain and the longest job, memory covers the budgets, ports are the served ones, and a
    rollout waits for each new pod.
    """
    assert budgets.faults(objects) == []


def test_the_namespace_admits_restricted_pods_only(objects: list[Object]) -> None:
    """Pod Security Admission enforces the profile `restricted`."""
    labels = find(objects, "Namespace/")["metadata"]["labels"]
    modes = {
        mode: labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")
    }
    assert set(modes.values()) == {"restricted"}


def test_a_stack_env_of_the_previous_release_is_accepted(tree: Tree) -> None:
    """An operator who has not run `stack-settings` again has the deprecated names, and every pod still starts."""
    renamed = {
        "FAILED_REQUESTS_QUEUE_URL": "DEAD_LETTER_QUEUE_URL",
        "SEARCH_DLQ_URL": "SEARCH_DEAD_LETTER_QUEUE_URL",
        "\nDLQ_URL": "\nUNDELIVERED_QUEUE_URL",
    }
    for current, former in renamed.items():
        tree.change("overlays/eks/stack.env", f"{current}=", f"{former}=")
    objects = tree.build("eks")
    assert environments.faults(objects) == []
    assert references.faults(objects) == []


@pytest.mark.parametrize(
    ("title", "path", "value", "expected"),
    [
        (
            "ConfigMap/imageservice-server",
            "data.MAX_CONECTION_AGE_S",
            "300",
            "MAX_CONECTION_AGE_S is not a setting",
        ),
        ("ConfigMap/imageservice-server", "data.CONCURRENCY", "64", "CONCURRENCY is not a setting"),
        (
            "ConfigMap/imageservice-server",
            "data.MAX_CONNECTION_AGE_S",
            "5m",
            "MAX_CONNECTION_AGE_S: ",
        ),
        ("ConfigMap/imageservice-stack", "data.BUCKET", REMOVED, "BUCKET: Field required"),
        ("ConfigMap/imageservice-stack", "data.BUCKET_NAME", "images", "no program reads it"),
        (CONSUMER, f"{CONTAINER}.env.0.name", "AWS_REGION", "AWS_DEFAULT_REGION is missing"),
        (SERVER, f"{CONTAINER}.args", ["server", "--worker"], "no such command: server --worker"),
        (
            "Deployment/imageservice-queue-exporter",
            f"{CONTAINER}.args.1",
            "exporter",
            "no such command",
        ),
    ],
)
def test_a_wrong_environment_is_found(
    eks: list[Object], title: str, path: str, value: Any, expected: str
) -> None:
    """An unknown, malformed or missing setting, a setting of another program, and a wrong command are faults."""
    plant(eks, title, path, value)
    assert any(expected in fault for fault in environments.faults(eks))


@pytest.mark.parametrize(
    ("title", "path", "value", "expected"),
    [
        (SERVER, f"{POD}.terminationGracePeriodSeconds", 31, "below a drain of 31 s"),
        (INDEXER, f"{POD}.terminationGracePeriodSeconds", 50, "below a drain of 50 s"),
        (CONSUMER, f"{POD}.terminationGracePeriodSeconds", 55, "below a drain of 55 s"),
        (CONSUMER, f"{POD}.terminationGracePeriodSeconds", 90, "below the longest job of 94 s"),
        (CONSUMER, f"{CONTAINER}.resources.limits.memory", "512Mi", "512 MiB is below 1003 MiB"),
        (
            SERVER,
            f"{CONTAINER}.resources.limits.memory",
            "1Gi",
            "limits are not exactly the memory",
        ),
        (SERVER, f"{CONTAINER}.resources.limits.cpu", "1", "limits are not exactly the memory"),
        (
            SERVER,
            f"{POD}.volumes.0.emptyDir",
            {},
            "volume tmp is not an emptyDir with a size limit",
        ),
        (SERVER, f"{CONTAINER}.ports.0.containerPort", 50052, "gRPC is served on port 50051"),
        ("Service/imageservice-server", "spec.ports.0.port", 80, "gRPC is served on port 50051"),
        (CONSUMER, f"{CONTAINER}.volumeMounts.0.mountPath", "/scratch", "loses the journals"),
        (CONSUMER, f"{CONTAINER}.ports.0.containerPort", 9465, "not METRICS_PORT"),
        (SERVER, "spec.minReadySeconds", 15, "minReadySeconds of 15 s is not above 15 s"),
        (CONSUMER, "spec.minReadySeconds", REMOVED, "minReadySeconds of 0 s is not above 60 s"),
        (INDEXER, "spec.minReadySeconds", 600, "not below progressDeadlineSeconds of 600 s"),
        (SERVER, "spec.strategy.rollingUpdate.maxUnavailable", 1, "removes old pods before"),
        (SERVER, f"{CONTAINER}.readinessProbe.grpc.service", "", "readiness does not check"),
        (
            SERVER,
            f"{CONTAINER}.livenessProbe.grpc.service",
            "imageservice.v1.ImageService",
            "livenessProbe checks",
        ),
    ],
)
def test_a_budget_that_does_not_fit_is_found(
    searching: list[Object], title: str, path: str, value: Any, expected: str
) -> None:
    """A short grace period, too little memory, an unbounded volume and a port without a server are faults."""
    plant(searching, title, path, value)
    assert any(expected in fault for fault in budgets.faults(searching))

"""Pods start with settings that their process takes, within bounds that fit, and with no right they do not need."""

from typing import Any

import pytest

from cluster.manifests import budgets, confinement, environments
from cluster.manifests.overlays import Object
from cluster.manifests.plants import REMOVED, plant

SERVER = "Deployment/imageservice-server"
CONSUMER = "Deployment/imageservice-consumer"
INDEXER = "Deployment/imageservice-indexer"
POD = "spec.template.spec"
CONTAINER = f"{POD}.containers.0"


def test_processes_take_their_environment(objects: list[Object]) -> None:
    """Commands exist, required settings are given and valid, and nothing is set that nobody reads."""
    assert environments.faults(objects) == []


def test_budgets_fit(objects: list[Object]) -> None:
    """Grace periods outlast a drain and the longest job; memory holds the budgets; ports are those served."""
    assert budgets.faults(objects) == []


def test_pods_are_confined(objects: list[Object]) -> None:
    """No root, no writable root, no capability, no token; requests, a memory limit and sized volumes."""
    assert confinement.faults(objects) == []


@pytest.mark.parametrize(
    ("title", "path", "value", "told"),
    [
        (
            "ConfigMap/imageservice-server",
            "data.MAX_CONECTION_AGE_S",
            "300",
            "MAX_CONECTION_AGE_S is no setting",
        ),
        ("ConfigMap/imageservice-server", "data.CONCURRENCY", "64", "CONCURRENCY is no setting"),
        (
            "ConfigMap/imageservice-server",
            "data.MAX_CONNECTION_AGE_S",
            "5m",
            "MAX_CONNECTION_AGE_S: ",
        ),
        ("ConfigMap/imageservice-stack", "data.BUCKET", REMOVED, "BUCKET: Field required"),
        ("ConfigMap/imageservice-stack", "data.BUCKET_NAME", "images", "no process reads it"),
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
def test_a_wrong_environment_is_seen(
    eks: list[Object], title: str, path: str, value: Any, told: str
) -> None:
    """A setting that is unknown, another process's, malformed or missing is a fault, and so is a wrong command."""
    plant(eks, title, path, value)
    assert any(told in fault for fault in environments.faults(eks))


@pytest.mark.parametrize(
    ("title", "path", "value", "told"),
    [
        (SERVER, f"{POD}.terminationGracePeriodSeconds", 31, "below a drain of 31 s"),
        (INDEXER, f"{POD}.terminationGracePeriodSeconds", 50, "below a drain of 50 s"),
        (CONSUMER, f"{POD}.terminationGracePeriodSeconds", 55, "below a drain of 55 s"),
        (CONSUMER, f"{POD}.terminationGracePeriodSeconds", 90, "below the longest job of 94 s"),
        (CONSUMER, f"{CONTAINER}.resources.limits.memory", "512Mi", "512 MiB is below 893 MiB"),
        (SERVER, f"{CONTAINER}.ports.0.containerPort", 50052, "gRPC is served on 50051"),
        ("Service/imageservice-server", "spec.ports.0.port", 80, "gRPC is served on 50051"),
        (CONSUMER, f"{CONTAINER}.ports.0.containerPort", 9465, "not METRICS_PORT"),
        (SERVER, f"{CONTAINER}.readinessProbe.grpc.service", "", "readiness is not that of"),
        (
            SERVER,
            f"{CONTAINER}.livenessProbe.grpc.service",
            "imageservice.v1.ImageService",
            "livenessProbe asks",
        ),
    ],
)
def test_a_budget_that_does_not_fit_is_seen(
    searching: list[Object], title: str, path: str, value: Any, told: str
) -> None:
    """Too short a grace, too little memory and a port that nobody serves are faults."""
    plant(searching, title, path, value)
    assert any(told in fault for fault in budgets.faults(searching))


@pytest.mark.parametrize(
    ("title", "path", "value", "told"),
    [
        (SERVER, f"{POD}.securityContext.runAsUser", 0, "the pod's securityContext"),
        (SERVER, f"{CONTAINER}.securityContext.readOnlyRootFilesystem", False, "the container's"),
        (
            SERVER,
            f"{POD}.automountServiceAccountToken",
            REMOVED,
            "a token of Kubernetes is mounted",
        ),
        (
            SERVER,
            f"{POD}.volumes.0.emptyDir",
            {},
            "volume tmp is not an emptyDir of a limited size",
        ),
        (SERVER, f"{CONTAINER}.resources.limits.cpu", "1", "its limits are not the memory"),
        (SERVER, f"{CONTAINER}.resources.requests.cpu", REMOVED, "it requests no CPU"),
        (
            "ServiceAccount/imageservice-server",
            "automountServiceAccountToken",
            True,
            "its token is mounted",
        ),
        (
            "Namespace/",
            "metadata.labels.pod-security|kubernetes|io/enforce",
            "baseline",
            "not restricted: enforce",
        ),
    ],
)
def test_a_right_too_many_is_seen(
    eks: list[Object], title: str, path: str, value: Any, told: str
) -> None:
    """Each protection is missed when it is gone."""
    plant(eks, title, path, value)
    assert any(told in fault for fault in confinement.faults(eks))

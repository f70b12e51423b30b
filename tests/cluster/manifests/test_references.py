"""Referenced objects exist, and selectors and targets are right."""

from collections.abc import Mapping
from typing import Any

import pytest

from cluster.manifests import references, targets
from cluster.manifests.overlays import REMOVED, Object, find, plant

SERVER = "Deployment/imageservice-server"
CONSUMER = "Deployment/imageservice-consumer"
CONTAINER = "spec.template.spec.containers.0"
LABEL = "app|kubernetes|io/component"


def test_referenced_objects_exist(objects: list[Object]) -> None:
    """Referenced ConfigMaps, Secrets, keys, service accounts, ports and volumes exist."""
    assert references.faults(objects) == []


def test_targets_are_right(objects: list[Object]) -> None:
    """Selectors select the intended pods. A target has either one autoscaler or a fixed number of replicas."""
    assert targets.faults(objects) == []


@pytest.mark.parametrize(
    ("title", "path", "value", "expected"),
    [
        (SERVER, f"{CONTAINER}.envFrom.0.configMapRef.name", "stack", "no ConfigMap stack"),
        (CONSUMER, f"{CONTAINER}.envFrom.2.secretRef.name", "secret", "no Secret secret"),
        (SERVER, f"{CONTAINER}.env.0.valueFrom.configMapKeyRef.key", "REGION", "has no REGION"),
        (SERVER, "spec.template.spec.serviceAccountName", "default", "no ServiceAccount default"),
        (SERVER, f"{CONTAINER}.readinessProbe.grpc.port", 50052, "readinessProbe: no port 50052"),
        (
            CONSUMER,
            f"{CONTAINER}.livenessProbe.httpGet.port",
            "http",
            "livenessProbe: no port http",
        ),
        (SERVER, f"{CONTAINER}.volumeMounts.0.name", "temp", "volume temp is not both"),
        ("Service/imageservice-server", "spec.ports.0.targetPort", "http", "has no port http"),
        (
            "NetworkPolicy/imageservice-clients",
            "spec.ingress.0.ports.0.port",
            50052,
            "has no port 50052",
        ),
        (
            "PodMonitor/imageservice-server",
            "spec.podMetricsEndpoints.0.port",
            "http",
            "has no port http",
        ),
        (
            "ScaledObject/imageservice",
            "spec.triggers.0.authenticationRef.name",
            "queue",
            "no TriggerAuthentication queue",
        ),
    ],
)
def test_a_reference_to_nothing_is_found(
    eks: list[Object], title: str, path: str, value: Any, expected: str
) -> None:
    """Each kind of reference to a missing object is a fault."""
    plant(eks, title, path, value)
    assert any(expected in fault for fault in references.faults(eks))


@pytest.mark.parametrize("overlay", ["local", "staging", "eks"])
def test_the_scaler_reads_the_queues_of_the_stack(
    built: Mapping[str, list[Object]], overlay: str
) -> None:
    """Each lane has a trigger of its name, with the queue and the region of the stack, and an emulator's endpoint."""
    stack = find(built[overlay], "ConfigMap/imageservice-stack")["data"]
    triggers = find(built[overlay], "ScaledObject/imageservice-consumer")["spec"]["triggers"]
    read = {
        each["name"]: [
            each["metadata"].get(key) for key in ("queueURL", "awsRegion", "awsEndpoint")
        ]
        for each in triggers
    }
    place = [stack["AWS_REGION"], stack.get("AWS_ENDPOINT_URL")]
    assert read == {
        "interactive": [stack["QUEUE_URL"], *place],
        "bulk": [stack["BULK_QUEUE_URL"], *place],
    }


def test_an_optional_key_may_be_missing(eks: list[Object]) -> None:
    """The exporter starts with the settings of a stack that is older than search."""
    plant(eks, "ConfigMap/imageservice-stack", "data.SEARCH_QUEUE_URL", REMOVED)
    assert references.faults(eks) == []


def test_a_missing_key_of_the_scaler_is_found(local: list[Object]) -> None:
    """A missing key of the scaler's credentials in the Secret is a fault."""
    plant(local, "Secret/imageservice-aws-credentials", "data.AWS_ACCESS_KEY_ID", REMOVED)
    (fault,) = references.faults(local)
    assert fault.endswith("has no AWS_ACCESS_KEY_ID")


@pytest.mark.parametrize(
    ("title", "path", "value", "expected"),
    [
        ("Service/imageservice-server", f"spec.selector.{LABEL}", "grpc", "selects no pod"),
        ("Service/imageservice-server", f"spec.selector.{LABEL}", REMOVED, "selects Deployment/"),
        (
            "PodDisruptionBudget/imageservice-server",
            f"spec.selector.matchLabels.{LABEL}",
            "grpc",
            "selects no pod",
        ),
        (
            "PodMonitor/imageservice-server",
            f"spec.selector.matchLabels.{LABEL}",
            "grpc",
            "selects no pod",
        ),
        (
            "NetworkPolicy/imageservice-origins",
            f"spec.podSelector.matchLabels.{LABEL}",
            "worker",
            "selects no pod",
        ),
        (SERVER, f"spec.selector.matchLabels.{LABEL}", "grpc", "its selector selects no pod"),
        (
            SERVER,
            f"spec.template.spec.topologySpreadConstraints.0.labelSelector.matchLabels.{LABEL}",
            REMOVED,
            "its selector selects",
        ),
        (
            "HorizontalPodAutoscaler/imageservice",
            "spec.scaleTargetRef.name",
            "server",
            "no Deployment server",
        ),
        (
            "HorizontalPodAutoscaler/imageservice",
            "spec.metrics.0.containerResource.container",
            "grpc",
            "no container grpc",
        ),
        (
            "ScaledObject/imageservice",
            "spec.scaleTargetRef.name",
            "consumer",
            "no Deployment consumer",
        ),
        (
            "ScaledObject/imageservice",
            "spec.scaleTargetRef.name",
            "imageservice-server",
            "it has two autoscalers",
        ),
        (CONSUMER, "spec.replicas", 3, "either by an autoscaler or by the manifest"),
        (
            "Deployment/imageservice-queue-exporter",
            "spec.replicas",
            REMOVED,
            "either by an autoscaler or by the manifest",
        ),
        (
            "ConfigMap/imageservice-stack",
            "metadata.namespace",
            "default",
            "is in the namespace default",
        ),
    ],
)
def test_a_wrong_target_is_found(
    eks: list[Object], title: str, path: str, value: Any, expected: str
) -> None:
    """Each kind of wrong selector or target is a fault."""
    assert find(eks, title)
    plant(eks, title, path, value)
    assert any(expected in fault for fault in targets.faults(eks))

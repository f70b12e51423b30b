"""Objects are valid in every supported version of Kubernetes."""

from typing import Any

import pytest

from cluster.manifests import schemas
from cluster.manifests.overlays import Object, plant

NEWEST = schemas.VERSIONS[-1]


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_objects_are_valid(objects: list[Object], version: str) -> None:
    """No field is unknown or has a wrong type, and every kind is checked."""
    assert schemas.faults(objects, version) == []


@pytest.mark.parametrize(
    ("title", "path", "value", "expected"),
    [
        ("Deployment/imageservice-server", "spec.template.spec.hostNetwrk", True, "hostNetwrk"),
        ("Deployment/imageservice-server", "spec.revisionHistoryLimit", "3", "'3' is not of type"),
        ("ScaledObject/imageservice", "spec.minReplicas", 1, "minReplicas"),
        ("ScaledObject/imageservice", "spec.pollingInterval", "15", "'15' is not of type"),
        ("ScaledObject/imageservice", "spec.fallback.behavior", "higher", "'higher' is not one of"),
        ("ScaledObject/imageservice", "spec.triggers.0.authRef", {}, "authRef"),
        ("TriggerAuthentication/imageservice", "spec.podIdentity.provider", "amazon", "'amazon'"),
        ("PodMonitor/imageservice", "spec.podMetricsEndpoints.0.intervall", "15s", "intervall"),
        ("PrometheusRule/imageservice", "spec.groups.0.rules.0.expression", "1", "expression"),
        ("PodDisruptionBudget/imageservice", "apiVersion", "policy/v2", "not checked"),
        ("ScaledObject/imageservice", "apiVersion", "keda.sh/v1", "not checked"),
    ],
)
def test_a_planted_fault_is_found(
    eks: list[Object], title: str, path: str, value: Any, expected: str
) -> None:
    """A misspelt field, a wrong type or value, and a kind without a schema are faults."""
    plant(eks, title, path, value)
    (fault,) = schemas.faults(eks, NEWEST)
    assert expected in fault

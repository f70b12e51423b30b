"""KEDA knows every key of every trigger."""

from typing import Any

import pytest

from cluster.manifests import scaler_keys
from cluster.manifests.overlays import REMOVED, Object, plant

METADATA = "spec.triggers.0.metadata"


def test_triggers_are_valid(objects: list[Object]) -> None:
    """Each key belongs to the scaler, and no required key is missing."""
    assert scaler_keys.faults(objects) == []


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (f"{METADATA}.queuelength", "100", "no such key: queuelength"),
        (f"{METADATA}.scaleOnInflight", "true", "no such key: scaleOnInflight"),
        (f"{METADATA}.queueURL", REMOVED, "queueURL is missing"),
        (f"{METADATA}.awsRegion", REMOVED, "awsRegion is missing"),
        (f"{METADATA}.identityOwner", "operator", "identityOwner is deprecated"),
        (f"{METADATA}.queueLength", 100, "queueLength: 100 is no text"),
        ("spec.triggers.0.type", "aws-sqs", "KEDA has no such scaler"),
    ],
)
def test_a_planted_fault_is_found(eks: list[Object], path: str, value: Any, expected: str) -> None:
    """A misspelt, missing or deprecated key and a value that is not a string are faults. The CRD would accept them."""
    plant(eks, "ScaledObject/imageservice-consumer", path, value)
    (fault,) = scaler_keys.faults(eks)
    assert (
        fault
        == f"ScaledObject/imageservice-consumer: trigger {'aws-sqs' if 'type' in path else 'aws-sqs-queue'}: {expected}"
    )

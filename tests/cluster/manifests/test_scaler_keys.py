"""KEDA understands every key of every trigger."""

from typing import Any

import pytest

from cluster.manifests import scaler_keys
from cluster.manifests.overlays import Object
from cluster.manifests.plants import REMOVED, plant

METADATA = "spec.triggers.0.metadata"


def test_triggers_keep_to_their_scalers(objects: list[Object]) -> None:
    """Each key is one of the scaler's, and none that it needs is missing."""
    assert scaler_keys.faults(objects) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
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
def test_a_planted_fault_is_seen(eks: list[Object], path: str, value: Any, told: str) -> None:
    """A key that is misspelt, missing, deprecated or no text is a fault, which no definition would tell."""
    plant(eks, "ScaledObject/imageservice-consumer", path, value)
    (fault,) = scaler_keys.faults(eks)
    assert (
        fault
        == f"ScaledObject/imageservice-consumer: trigger {'aws-sqs' if 'type' in path else 'aws-sqs-queue'}: {told}"
    )

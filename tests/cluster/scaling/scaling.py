"""What a ScaledObject of the cluster promises: how many pods for how many messages."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

TRIGGER = "aws-sqs-queue"
# What KEDA's six attempts of one reading took, with their pauses, when each was answered by an error.
_FAILED_READING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """Numbers of pods; `queue_length` is messages for each, the rest seconds."""

    minimum: int
    maximum: int
    queue_length: int
    fallback: int
    cooldown: float
    until_fallback: float
    """How long readings fail at most before KEDA falls back."""

    @classmethod
    def parse(cls, scaled_object: Mapping[str, Any]) -> Self:
        spec = scaled_object["spec"]
        readings = spec["fallback"]["failureThreshold"] + 1
        (metadata,) = (each["metadata"] for each in spec["triggers"] if each["type"] == TRIGGER)
        return cls(
            minimum=spec["minReplicaCount"],
            maximum=spec["maxReplicaCount"],
            queue_length=int(metadata["queueLength"]),
            fallback=spec["fallback"]["replicas"],
            cooldown=spec["cooldownPeriod"],
            until_fallback=readings * (spec["pollingInterval"] + _FAILED_READING_SECONDS),
        )

    def pods_for(self, messages: int) -> int:
        """Return the pods for a depth, visible and in flight counted together."""
        wanted = math.ceil(messages / self.queue_length)
        return min(self.maximum, max(self.minimum, wanted))

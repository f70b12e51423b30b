"""The number of pods that a ScaledObject of the cluster specifies for a number of messages."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

TRIGGER = "aws-sqs-queue"
# Measured duration of the six attempts of one reading of KEDA, with their pauses, if each returns an error.
_FAILED_READING_S = 5.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """Numbers of pods, except `queue_length` (messages per pod) and the last two fields (seconds)."""

    minimum: int
    maximum: int
    queue_length: int
    fallback: int
    cooldown: float
    until_fallback: float
    """The longest time of failing readings before KEDA uses its fallback."""

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
            until_fallback=readings * (spec["pollingInterval"] + _FAILED_READING_S),
        )

    def pods_for(self, messages: int) -> int:
        """Return the number of pods for a depth. Visible and in-flight messages both count."""
        wanted = math.ceil(messages / self.queue_length)
        return min(self.maximum, max(self.minimum, wanted))

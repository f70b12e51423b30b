"""The number of pods that a ScaledObject of the cluster specifies for a number of messages."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# Measured duration of the six attempts of one reading of KEDA, with their pauses, if each returns an error.
_FAILED_READING_S = 5.0


@dataclass(frozen=True, slots=True)
class Scaling:
    """Numbers of pods, except the queue lengths (messages per pod) and the last two fields (seconds)."""

    minimum: int
    maximum: int
    queue_length: int
    bulk_queue_length: int
    fallback: int
    cooldown: float
    until_fallback: float
    """The longest time of failing readings before KEDA uses its fallback."""

    @classmethod
    def parse(cls, scaled_object: Mapping[str, Any]) -> Self:
        spec = scaled_object["spec"]
        readings = spec["fallback"]["failureThreshold"] + 1
        lengths = {each["name"]: each["metadata"]["queueLength"] for each in spec["triggers"]}
        return cls(
            minimum=spec["minReplicaCount"],
            maximum=spec["maxReplicaCount"],
            queue_length=int(lengths["interactive"]),
            bulk_queue_length=int(lengths["bulk"]),
            fallback=spec["fallback"]["replicas"],
            cooldown=spec["cooldownPeriod"],
            until_fallback=readings * (spec["pollingInterval"] + _FAILED_READING_S),
        )

    def pods_for(self, messages: int, bulk: int = 0) -> int:
        """Return the number of pods for the depths of both lanes. Visible and in-flight messages both count."""
        wanted = max(
            math.ceil(messages / self.queue_length), math.ceil(bulk / self.bulk_queue_length)
        )
        return min(self.maximum, max(self.minimum, wanted))

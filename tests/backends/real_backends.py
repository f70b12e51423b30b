"""DynamoDB Local and ElasticMQ, both running."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from backends.jvm import Jvm


@dataclass(frozen=True, slots=True)
class RealBackends:
    """Both store everything in memory. `stop` ends them."""

    dynamodb: Jvm
    elasticmq: Jvm

    @classmethod
    async def start(cls, jars: Path, logs: Path) -> Self:
        """Start both concurrently. Raises BackendFailed."""
        starts = (Jvm.start(kind, jars, logs) for kind in ("dynamodb", "elasticmq"))
        started = await asyncio.gather(*starts, return_exceptions=True)
        failures = [each for each in started if isinstance(each, BaseException)]
        if failures:
            await asyncio.gather(*(each.stop() for each in started if isinstance(each, Jvm)))
            raise failures[0]
        dynamodb, elasticmq = (each for each in started if isinstance(each, Jvm))
        return cls(dynamodb, elasticmq)

    def endpoints(self) -> dict[str, str]:
        """Return the environment variables of the SDK for their endpoints."""
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb.endpoint,
            "AWS_ENDPOINT_URL_SQS": self.elasticmq.endpoint,
        }

    async def stop(self) -> None:
        await asyncio.gather(self.dynamodb.stop(), self.elasticmq.stop())

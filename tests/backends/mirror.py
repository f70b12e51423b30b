"""Creates the tables and queues of the template on the real backends, as they are in the embedded AWS."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from cli.local.embedded_aws import REGION

# The access key id of calls that the router passes to the embedded AWS.
PAST_ROUTER = "template"

# The attributes that determine the behaviour of a queue. The others are counts and encryption settings.
_QUEUE_ATTRIBUTES = (
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


def table_like(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of CreateTable from the response of DescribeTable."""
    indexes = [
        {name: index[name] for name in ("IndexName", "KeySchema", "Projection")}
        for index in described.get("GlobalSecondaryIndexes", ())
    ]
    return {
        "TableName": described["TableName"],
        "AttributeDefinitions": described["AttributeDefinitions"],
        "KeySchema": described["KeySchema"],
        "BillingMode": "PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    }


def queue_like(described: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of CreateQueue from the response of GetQueueAttributes."""
    return {name: described[name] for name in _QUEUE_ATTRIBUTES if described.get(name)}


def dlq_name(attributes: Mapping[str, str]) -> str | None:
    """Return the name of the dead-letter queue in the redrive policy, if any. Both backends use the same ARNs."""
    policy = attributes.get("RedrivePolicy")
    if not policy:
        return None
    return str(json.loads(policy)["deadLetterTargetArn"]).rpartition(":")[2]


@dataclass(slots=True)
class Mirror:
    """Creates a table or queue at its first use. Endpoints are URLs without a path."""

    embedded: str
    dynamodb: str
    sqs: str
    _created: set[str] = field(default_factory=set)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def table(self, name: str) -> bool:
        """Return True if the table exists. It then exists on the real backend too."""
        async with self._lock:
            if f"table/{name}" in self._created:
                return True
            async with _client("dynamodb", self.embedded) as template:
                try:
                    described = (await template.describe_table(TableName=name))["Table"]
                except ClientError:
                    return False
            async with _client("dynamodb", self.dynamodb) as real:
                await real.create_table(**table_like(described))
            self._created.add(f"table/{name}")
            return True

    async def queue(self, name: str) -> bool:
        """Return True if the queue exists. It then exists on the real backend too."""
        async with self._lock:
            return await self._queue(name)

    async def _queue(self, name: str) -> bool:
        if f"queue/{name}" in self._created:
            return True
        async with _client("sqs", self.embedded) as template:
            try:
                url = (await template.get_queue_url(QueueName=name))["QueueUrl"]
            except ClientError:
                return False
            response = await template.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes = queue_like(response["Attributes"])
        # ElasticMQ requires that the dead-letter queue exists before a queue that refers to it.
        dlq = dlq_name(attributes)
        if dlq is not None:
            await self._queue(dlq)
        async with _client("sqs", self.sqs) as real:
            await real.create_queue(QueueName=name, Attributes=attributes)
        self._created.add(f"queue/{name}")
        return True


@asynccontextmanager
async def _client(service: str, endpoint: str) -> AsyncIterator[Any]:
    session: Any = get_session()
    async with session.create_client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=PAST_ROUTER,
        aws_secret_access_key="embedded",
        # An empty mapping makes the SDK ignore proxy variables, which would lead off the machine.
        config=AioConfig(proxies={}),
    ) as client:
        yield client

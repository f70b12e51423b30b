"""The template's tables and queues on the real backends, made as the embedded AWS made them."""

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

# The access key id by which the embedded AWS itself is reached, past the router before it.
PAST_ROUTER = "template"

# What decides how a queue behaves; the rest counts messages or speaks of encryption.
_QUEUE_ATTRIBUTES = (
    "DelaySeconds",
    "MaximumMessageSize",
    "MessageRetentionPeriod",
    "ReceiveMessageWaitTimeSeconds",
    "RedrivePolicy",
    "VisibilityTimeout",
)


def table_like(described: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of CreateTable for a table like the one that DescribeTable told of."""
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
    """Return the attributes of CreateQueue for a queue like the one that GetQueueAttributes told of."""
    return {name: described[name] for name in _QUEUE_ATTRIBUTES if described.get(name)}


def dead_letter_queue(attributes: Mapping[str, str]) -> str | None:
    """Return the name of the queue that a redrive policy names; both backends use the same ARNs."""
    policy = attributes.get("RedrivePolicy")
    if not policy:
        return None
    return str(json.loads(policy)["deadLetterTargetArn"]).rpartition(":")[2]


@dataclass(slots=True)
class Mirror:
    """Makes a table or queue when it is first asked for. Endpoints as URLs without a path."""

    embedded: str
    dynamodb: str
    sqs: str
    _made: set[str] = field(default_factory=set)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def table(self, name: str) -> bool:
        """Answer whether there is such a table, on both sides by now."""
        async with self._lock:
            if f"table/{name}" in self._made:
                return True
            async with _client("dynamodb", self.embedded) as template:
                try:
                    described = (await template.describe_table(TableName=name))["Table"]
                except ClientError:
                    return False
            async with _client("dynamodb", self.dynamodb) as real:
                await real.create_table(**table_like(described))
            self._made.add(f"table/{name}")
            return True

    async def queue(self, name: str) -> bool:
        """Answer whether there is such a queue, on both sides by now."""
        async with self._lock:
            return await self._queue(name)

    async def _queue(self, name: str) -> bool:
        if f"queue/{name}" in self._made:
            return True
        async with _client("sqs", self.embedded) as template:
            try:
                url = (await template.get_queue_url(QueueName=name))["QueueUrl"]
            except ClientError:
                return False
            told = await template.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        attributes = queue_like(told["Attributes"])
        # ElasticMQ wants the dead-letter queue to be there before a queue that names it.
        behind = dead_letter_queue(attributes)
        if behind is not None:
            await self._queue(behind)
        async with _client("sqs", self.sqs) as real:
            await real.create_queue(QueueName=name, Attributes=attributes)
        self._made.add(f"queue/{name}")
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
        # An empty mapping keeps the SDK from a proxy variable, which would lead off the machine.
        config=AioConfig(proxies={}),
    ) as client:
        yield client

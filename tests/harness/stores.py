"""Reads the tables, queues and notifications of a system."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.session import get_session

from harness.system import System
from harness.waiting import wait_for


@dataclass(frozen=True, slots=True)
class Notification:
    """`sent` is the JSON body; `attributes` are those of the message."""

    sent: dict[str, Any]
    attributes: dict[str, str]

    @property
    def id(self) -> str:
        return str(self.sent["notificationId"])


@dataclass(frozen=True, slots=True)
class Stores:
    """Reads the tables, the queues, and a queue subscribed to the topic."""

    system: System
    dynamodb: Any
    sqs: Any
    sns: Any
    notifications_url: str

    async def requests(self) -> list[dict[str, Any]]:
        return await self._scan(self.system.stack.requests_table)

    async def images(self) -> list[dict[str, Any]]:
        return await self._scan(self.system.stack.images_table)

    async def notifications(self, expected: Iterable[str]) -> list[Notification]:
        """Receive until all expected notification ids have arrived and the queue is empty."""
        missing = set(expected)
        received: list[Notification] = []
        while True:
            batch = await self.receive(self.notifications_url, wait=1 if missing else 0)
            if not batch and not missing:
                return received
            for message in batch:
                received.append(parse_notification(message["Body"]))
                missing.discard(received[-1].id)

    async def receive(self, queue_url: str, *, wait: int = 0) -> list[dict[str, Any]]:
        """Receive up to 10 messages and delete them."""
        response = await self.sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=wait
        )
        messages: list[dict[str, Any]] = response.get("Messages", [])
        for message in messages:
            await self.sqs.delete_message(
                QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"]
            )
        return messages

    async def failed_requests(self, expected: int) -> list[dict[str, Any]]:
        """Receive until there are `expected` records and no more arrive. A record follows its notification."""
        url = self.system.stack.failed_requests_queue_url
        records: list[dict[str, Any]] = []
        while True:
            batch = await self.receive(url, wait=1 if len(records) < expected else 0)
            if not batch and len(records) >= expected:
                return records
            records += [json.loads(message["Body"]) for message in batch]

    async def depth(self, queue_url: str) -> int:
        """Return the number of messages in a queue, including messages in flight or delayed."""
        answer = await self.sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])
        return sum(
            int(value)
            for name, value in answer["Attributes"].items()
            if name.startswith("ApproximateNumberOfMessages")
        )

    async def until_depth(self, queue_url: str, depth: int) -> None:
        """Wait until a queue has `depth` messages. A consumer deletes a message after it has written the state."""

        async def reached() -> bool:
            return await self.depth(queue_url) == depth

        await wait_for(reached, f"a depth of {depth}")

    async def prove_each_ended_once(self, request_ids: Iterable[str]) -> None:
        """Assert one row at revision 2, one image and one distinct notification for each id."""
        ids = set(request_ids)
        rows = await self.requests()
        assert {row["requestId"]["S"] for row in rows} == ids
        assert Counter(row["status"]["S"] for row in rows) == {"COMPLETED": len(ids)}
        assert {row["revision"]["N"] for row in rows} == {"2"}
        images = await self.images()
        assert Counter(image["requestId"]["S"] for image in images) == Counter(ids)
        expected = {f"{request_id}:2" for request_id in ids}
        received = await self.notifications(expected)
        assert {notification.id for notification in received} == expected

    async def _scan(self, table: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        arguments: dict[str, Any] = {"TableName": table, "ConsistentRead": True}
        while True:
            page = await self.dynamodb.scan(**arguments)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def parse_notification(body: str) -> Notification:
    """Parse a message of a queue that is subscribed to the topic."""
    envelope = json.loads(body)
    attributes = envelope.get("MessageAttributes", {})
    return Notification(
        sent=json.loads(envelope["Message"]),
        attributes={name: value["Value"] for name, value in attributes.items()},
    )


@asynccontextmanager
async def stores_of(system: System) -> AsyncIterator[Stores]:
    """Open the stores of a system. Its notifications are received from now on."""
    session = get_session()
    async with AsyncExitStack() as stack:
        clients = {
            name: await stack.enter_async_context(session.create_client(name, **system.aws.sdk()))
            for name in ("dynamodb", "sqs", "sns")
        }
        reading = Stores(system, **clients, notifications_url="")
        notifications = await subscribe(reading, "inbox")
        yield Stores(system, **clients, notifications_url=notifications)


async def subscribe(reading: Stores, name: str, *, customer: str | None = None) -> str:
    """Subscribe a new queue to the topic, with a filter for `customer` if there is one. Return its URL."""
    queue_name = f"{reading.system.stack.requests_table}-{name}"
    queue = await reading.sqs.create_queue(QueueName=queue_name)
    url = str(queue["QueueUrl"])
    answer = await reading.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    policy = {"FilterPolicy": json.dumps({"customerId": [customer]})} if customer else {}
    await reading.sns.subscribe(
        TopicArn=reading.system.stack.topic_arn,
        Protocol="sqs",
        Endpoint=answer["Attributes"]["QueueArn"],
        Attributes=policy,
    )
    return url

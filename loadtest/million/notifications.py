"""Learning of ends from the notifications that customers get.

A queue of the driver's own is subscribed to the topic. This costs the processes under test nothing, as the notification
is published anyway, and it is part of what is to be shown: that everyone is told at least once.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from loadtest.million.aws_access import AwsAccess
from loadtest.million.desk import Desk
from loadtest.million.ledger import COMPLETED
from loadtest.million.queues import queue_depth
from loadtest.run_report.recorder import Depth

RECEIVERS = 4
WAIT_SECONDS = 5
PAUSE_SECONDS = 0.5


class Notifications:
    def __init__(self, aws: AwsAccess, desk: Desk, queue_url: str) -> None:
        self._aws = aws
        self._desk = desk
        self._queue_url = queue_url

    async def follow(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(RECEIVERS):
                group.create_task(self._receive_all())

    async def _receive_all(self) -> None:
        while True:
            try:
                await self._receive()
            except (
                BotoCoreError,
                ClientError,
                aiohttp.ClientError,
                OSError,
                TimeoutError,
            ) as error:
                self._desk.trouble(f"notifications {type(error).__name__}")
                await asyncio.sleep(PAUSE_SECONDS)

    async def _receive(self) -> None:
        # By the short way: at the SDK's price this would be most of what the driver costs.
        sqs = self._aws.clients.wire.sqs
        wanted = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": WAIT_SECONDS}
        received = await sqs.invoke("ReceiveMessage", {"QueueUrl": self._queue_url, **wanted})
        messages = received.get("Messages", [])
        for message in messages:
            self._read(json.loads(message["Body"]), message["MessageId"])
        if messages:
            entries = [
                {"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]}
                for at, message in enumerate(messages)
            ]
            await sqs.invoke(
                "DeleteMessageBatch", {"QueueUrl": self._queue_url, "Entries": entries}
            )

    def _read(self, event: dict[str, Any], message: str) -> None:
        outcome = event["failure"]["code"] if "failure" in event else COMPLETED
        self._desk.told(event["requestId"], event["revision"], outcome, message)

    async def waiting(self) -> Depth | None:
        """What was told and not read yet; None where it cannot be seen just now."""
        return await queue_depth(self._aws, self._queue_url)


@asynccontextmanager
async def subscribed(aws: AwsAccess, desk: Desk) -> AsyncIterator[Notifications]:
    """Subscribes a new queue before anything is submitted; both are gone afterwards."""
    sqs, sns = aws.clients.sqs, aws.clients.sns
    created = await sqs.create_queue(QueueName=f"imageservice-loadtest-{desk.items.run}")
    url = created["QueueUrl"]
    attributes = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    arn = attributes["Attributes"]["QueueArn"]
    await sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps(_policy(arn, aws.topic_arn))}
    )
    subscription = await sns.subscribe(
        TopicArn=aws.topic_arn,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
        ReturnSubscriptionArn=True,
    )
    try:
        yield Notifications(aws, desk, url)
    finally:
        await sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        await sqs.delete_queue(QueueUrl=url)


def _policy(queue_arn: str, topic_arn: str) -> dict[str, Any]:
    """The topic, and nothing else, may send here."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue_arn,
                "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
            }
        ],
    }

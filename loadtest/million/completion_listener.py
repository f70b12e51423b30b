"""Reports the ends of items to the event router: by SNS notifications, or by WatchRequest.

Notifications cost the processes under test nothing, because they are published anyway, and the run verifies that each
request is notified. WatchRequest works without access to AWS; the server then polls every watched request, and that
work is part of the measurement.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import grpc

from core.aws.sqs import SqsQueue
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.million.aws import AWS_ERRORS, AwsAccess, queue_depth
from loadtest.million.event_router import EventRouter
from loadtest.million.ledger import COMPLETED
from loadtest.run_report.recorder import Depth

RECEIVERS = 4
WAIT_S = 5
RETRY_S = 0.5

MAX_WATCHED = 100
"""Ids per WatchRequest, the limit of the contract."""
COLLECT_S = 0.2
"""Time during which acknowledged ids are collected for one stream."""


class CompletionListener(Protocol):
    async def listen(self) -> None:
        """Report every end to the event router, until cancelled."""

    async def backlog(self) -> Depth | None:
        """Return the notifications that are not read yet; None if unknown."""


@asynccontextmanager
async def completion_listener(
    aws: AwsAccess | None, stub: "pb_grpc.ImageServiceAsyncStub", router: EventRouter
) -> AsyncIterator[CompletionListener]:
    """Listen to notifications if AWS is accessible, otherwise watch."""
    if aws is None:
        watcher = WatchListener(stub, router)
        router.on_acknowledged = watcher.add
        yield watcher
        return
    async with notification_listener(aws, router) as notifications:
        yield notifications


class NotificationListener:
    def __init__(self, aws: AwsAccess, router: EventRouter, queue_url: str) -> None:
        self._aws = aws
        self._router = router
        self._queue_url = queue_url
        self._queue = SqsQueue(aws.clients.http.sqs, queue_url)

    async def listen(self) -> None:
        """As CompletionListener."""
        async with asyncio.TaskGroup() as group:
            for _ in range(RECEIVERS):
                group.create_task(self._receive_forever())

    async def _receive_forever(self) -> None:
        while True:
            try:
                await self._receive()
            except AWS_ERRORS as error:
                self._router.error(f"notifications {type(error).__name__}")
                await asyncio.sleep(RETRY_S)

    async def _receive(self) -> None:
        # Our own HTTP client: the SDK would make up most of the CPU of the driver.
        messages = await self._queue.receive(10, wait=WAIT_S)
        for message in messages:
            self._handle(json.loads(message.body), message.id)
        await asyncio.gather(*(self._queue.delete_nowait(each.receipt) for each in messages))

    def _handle(self, event: dict[str, Any], message: str) -> None:
        outcome = event["failure"]["code"] if "failure" in event else COMPLETED
        self._router.ended(event["requestId"], event["revision"], outcome, message)

    async def backlog(self) -> Depth | None:
        """As CompletionListener."""
        return await queue_depth(self._aws, self._queue_url)


@asynccontextmanager
async def notification_listener(
    aws: AwsAccess, router: EventRouter
) -> AsyncIterator[NotificationListener]:
    """Create a queue and subscribe it to the topic. Both are deleted on exit."""
    sqs, sns = aws.clients.sqs, aws.clients.sns
    created = await sqs.create_queue(QueueName=f"imageservice-loadtest-{router.items.run}")
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
        yield NotificationListener(aws, router, url)
    finally:
        await sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        await sqs.delete_queue(QueueUrl=url)


def _policy(queue_arn: str, topic_arn: str) -> dict[str, Any]:
    """Return a queue policy that allows only the topic to send."""
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


class WatchListener:
    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", router: EventRouter) -> None:
        self._stub = stub
        self._router = router
        self._acknowledged: asyncio.Queue[str] = asyncio.Queue()

    def add(self, number: int) -> None:
        """Watch an acknowledged item."""
        self._acknowledged.put_nowait(self._router.items.request_id(number))

    async def listen(self) -> None:
        """As CompletionListener."""
        async with asyncio.TaskGroup() as group:
            while True:
                collected = [await self._acknowledged.get()]
                await asyncio.sleep(COLLECT_S)
                while not self._acknowledged.empty():
                    collected.append(self._acknowledged.get_nowait())
                for at in range(0, len(collected), MAX_WATCHED):
                    group.create_task(self._watch(set(collected[at : at + MAX_WATCHED])))

    async def backlog(self) -> Depth | None:
        """As CompletionListener. A watch has no backlog."""
        return Depth(0, 0)

    async def _watch(self, ids: set[str]) -> None:
        while ids:
            call = self._stub.WatchRequest(pb.WatchRequestRequest(request_ids=sorted(ids)))
            try:
                async for event in call:
                    outcome = _outcome_of(event.request)
                    if outcome is not None and event.request.request_id in ids:
                        ids.remove(event.request.request_id)
                        self._router.ended(
                            event.request.request_id, event.request.revision, outcome
                        )
            except grpc.aio.AioRpcError as error:
                self._router.error(f"watch {error.code().name}")
                await asyncio.sleep(RETRY_S)


def _outcome_of(request: pb.ImageRequest) -> str | None:
    """Return COMPLETED or the failure code; None while the request is pending."""
    if request.state == pb.STATE_COMPLETED:
        return COMPLETED
    if request.state == pb.STATE_FAILED:
        return pb.FailureCode.Name(request.failure.code).removeprefix("FAILURE_CODE_")
    return None

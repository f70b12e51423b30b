"""Carries the indexer's events from the embedded AWS, where SNS puts them, to the queue that the indexer asks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from backends.mirror import Mirror
from cli.local.stack import StackOutputs
from harness.aws import RecordingAws

# A receive of the embedded AWS takes ever longer the deeper its queue is, so several wait for it.
_AT_ONCE = 4
_BATCH = 10
_WAIT_SECONDS = 1


@asynccontextmanager
async def search_bridge(
    aws: RecordingAws, stack: StackOutputs
) -> AsyncIterator[asyncio.Task[None]]:
    """Its task ends by itself with an error only. An event is deleted when it is where it shall be, so none is lost."""
    assert aws.real is not None
    real, url = aws.real.endpoints(), stack.search_queue_url
    name = url.rpartition("/")[2]
    dynamodb, elasticmq = real["AWS_ENDPOINT_URL_DYNAMODB"], real["AWS_ENDPOINT_URL_SQS"]
    await Mirror(aws.endpoint, dynamodb, elasticmq).queue(name)
    # An empty mapping keeps the SDK from a proxy variable, which would lead off the machine.
    sdk: dict[str, Any] = {**aws.sdk(), "config": AioConfig(proxies={})}
    session = get_session()
    async with (
        session.create_client("sqs", **sdk) as source,
        session.create_client("sqs", **{**sdk, "endpoint_url": elasticmq}) as target,
    ):
        to = (await target.get_queue_url(QueueName=name))["QueueUrl"]
        told = asyncio.Event()
        bridge = asyncio.create_task(_carry(source, url, target, to, told))
        try:
            yield bridge
        finally:
            # The embedded AWS would complain of a receive that it has to break off.
            told.set()
            await asyncio.wait({bridge})


async def _carry(source: Any, url: str, target: Any, to: str, told: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(_carry_on(source, url, target, to, told))


async def _carry_on(source: Any, url: str, target: Any, to: str, told: asyncio.Event) -> None:
    asked = {"QueueUrl": url, "MaxNumberOfMessages": _BATCH, "WaitTimeSeconds": _WAIT_SECONDS}
    while not told.is_set():
        held = dict(enumerate((await source.receive_message(**asked)).get("Messages", ())))
        if held:
            sent = [{"Id": str(n), "MessageBody": each["Body"]} for n, each in held.items()]
            answer = await target.send_message_batch(QueueUrl=to, Entries=sent)
            assert not answer.get("Failed"), f"ElasticMQ did not take {answer['Failed']}"
            done = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in held.items()
            ]
            await source.delete_message_batch(QueueUrl=url, Entries=done)

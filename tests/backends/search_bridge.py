"""Moves the messages of the search queue from the embedded AWS, where SNS sends them, to ElasticMQ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from backends.mirror import Mirror
from cli.local.stack import StackOutputs
from harness.aws import RecordingAws

# A receive of the embedded AWS takes longer with a deeper queue, so several run concurrently.
_CONCURRENCY = 4
_BATCH = 10
_WAIT_S = 1


@asynccontextmanager
async def search_bridge(
    aws: RecordingAws, stack: StackOutputs
) -> AsyncIterator[asyncio.Task[None]]:
    """Run the bridge while the block runs. The task ends by itself only with an error. A message is deleted after it
    has been sent to ElasticMQ, so none is lost."""
    assert aws.real is not None
    real, url = aws.real.endpoints(), stack.search_queue_url
    name = url.rpartition("/")[2]
    dynamodb, elasticmq = real["AWS_ENDPOINT_URL_DYNAMODB"], real["AWS_ENDPOINT_URL_SQS"]
    await Mirror(aws.endpoint, dynamodb, elasticmq).queue(name)
    # An empty mapping makes the SDK ignore proxy variables, which would lead off the machine.
    sdk: dict[str, Any] = {**aws.sdk(), "config": AioConfig(proxies={})}
    session = get_session()
    async with (
        session.create_client("sqs", **sdk) as source,
        session.create_client("sqs", **{**sdk, "endpoint_url": elasticmq}) as target,
    ):
        to = (await target.get_queue_url(QueueName=name))["QueueUrl"]
        stop = asyncio.Event()
        bridge = asyncio.create_task(_run(source, url, target, to, stop))
        try:
            yield bridge
        finally:
            # The embedded AWS logs an error if a receive is cancelled.
            stop.set()
            await asyncio.wait({bridge})


async def _run(source: Any, url: str, target: Any, to: str, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONCURRENCY):
            group.create_task(_move_messages(source, url, target, to, stop))


async def _move_messages(source: Any, url: str, target: Any, to: str, stop: asyncio.Event) -> None:
    parameters = {"QueueUrl": url, "MaxNumberOfMessages": _BATCH, "WaitTimeSeconds": _WAIT_S}
    while not stop.is_set():
        received = dict(enumerate((await source.receive_message(**parameters)).get("Messages", ())))
        if received:
            sent = [{"Id": str(n), "MessageBody": each["Body"]} for n, each in received.items()]
            answer = await target.send_message_batch(QueueUrl=to, Entries=sent)
            assert not answer.get("Failed"), f"ElasticMQ did not take {answer['Failed']}"
            done = [
                {"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]}
                for n, each in received.items()
            ]
            await source.delete_message_batch(QueueUrl=url, Entries=done)

"""The queues of both lanes on ElasticMQ. KEDA reaches them through a proxy that can return errors."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import web

from backends.jvm import Jvm
from cli.local.embedded_aws import REGION
from harness.aws_proxy import AwsProxy, Forward, ProxiedCall, aws_proxy, pass_on

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

_BATCH = 10
_INTERACTIVE, _BULK = "imageservice-requests", "imageservice-bulk"
# Longer than any run, so that messages that a test has received stay in flight until it deletes them.
_VISIBILITY_TIMEOUT_S = 3_600


@dataclass(frozen=True, slots=True)
class Depth:
    """Message counts of SQS."""

    visible: int
    in_flight: int

    @property
    def total(self) -> int:
        return self.visible + self.in_flight


@dataclass(slots=True)
class Backlog:
    """Direct access of a test to the queue of a lane, without the proxy."""

    url: str
    _sqs: "SQSClient"
    _handles: list[str] = field(default_factory=list)

    @property
    def name(self) -> bytes:
        """The end of the URL, by which a call names the queue."""
        return self.url.rpartition("/")[2].encode()

    async def send(self, messages: int) -> None:
        for start in range(0, messages, _BATCH):
            entries = [
                {"Id": str(number), "MessageBody": json.dumps({"number": number})}
                for number in range(start, min(start + _BATCH, messages))
            ]
            sent = await self._sqs.send_message_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]
            assert len(sent["Successful"]) == len(entries)

    async def receive(self, messages: int) -> None:
        """Receive messages like a worker and keep them in flight."""
        wanted = len(self._handles) + messages
        while len(self._handles) < wanted:
            limit = min(_BATCH, wanted - len(self._handles))
            self._handles += [each["ReceiptHandle"] for each in await self._receive(limit)]

    async def drain(self) -> None:
        """Delete every message, beginning with those in flight."""
        while self._handles:
            await self._delete(self._handles[:_BATCH])
            del self._handles[:_BATCH]
        while (await self.depth()).total:
            received = await self._receive(_BATCH)
            if received:
                await self._delete([each["ReceiptHandle"] for each in received])

    async def depth(self) -> Depth:
        response = await self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        attributes = response["Attributes"]
        return Depth(
            int(attributes["ApproximateNumberOfMessages"]),
            int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        )

    async def _receive(self, limit: int) -> list[Any]:
        received = await self._sqs.receive_message(QueueUrl=self.url, MaxNumberOfMessages=limit)
        return received.get("Messages", [])

    async def _delete(self, handles: list[str]) -> None:
        entries = [{"Id": str(at), "ReceiptHandle": handle} for at, handle in enumerate(handles)]
        await self._sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Lanes:
    """The queues of both lanes, and the proxy through which KEDA reads them."""

    interactive: Backlog
    bulk: Backlog
    proxy: AwsProxy

    def start_errors(self, *unreadable: Backlog) -> None:
        """From now on the proxy returns errors to KEDA for these queues."""
        names = tuple(backlog.name for backlog in unreadable)

        async def errors(call: ProxiedCall, forward: Forward) -> web.Response:
            if any(name in call.body for name in names):
                return web.Response(status=500, text="this queue is out of order")
            return await forward()

        self.proxy.hook = errors

    def stop_errors(self) -> None:
        self.proxy.hook = pass_on


@asynccontextmanager
async def lanes(jars: Path, logs: Path) -> AsyncIterator[Lanes]:
    """Start ElasticMQ with two empty queues, and the proxy in front of it."""
    elasticmq = await Jvm.start("elasticmq", jars, logs)
    try:
        async with (
            aws_proxy(elasticmq.endpoint) as proxy,
            get_session().create_client(
                "sqs",
                endpoint_url=elasticmq.endpoint,
                region_name=REGION,
                aws_access_key_id="tests",
                aws_secret_access_key="elasticmq",
                config=AioConfig(proxies={}),
            ) as sqs,
        ):
            attributes = {"VisibilityTimeout": str(_VISIBILITY_TIMEOUT_S)}
            interactive, bulk = [
                await sqs.create_queue(QueueName=name, Attributes=attributes)  # type: ignore[arg-type]
                for name in (_INTERACTIVE, _BULK)
            ]
            yield Lanes(
                Backlog(interactive["QueueUrl"], sqs), Backlog(bulk["QueueUrl"], sqs), proxy
            )
    finally:
        await elasticmq.stop()

"""Number of requests to an origin for one image."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest
from aiohttp import web

from consumer.fetching.fetcher import Fetcher, FetchPolicy
from consumer.worker.handler import MessageHandler
from consumer.worker.pipeline import Pipeline
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.retry_policy import RetryPolicy
from core.aws.client import Aws
from core.aws.sqs import SqsQueue
from core.model.message import ImageMessage
from core.runtime.clock import now_ms
from harness.fake_aws import FakeAnswer, FakeAws
from harness.origin import Origin, origin
from harness.raw_origin import HANG_TIMEOUT_S, get

NOTHING: Any = None
"""Replaces the steps after the fetch, which are not reached."""


@pytest.fixture(name="origin")
async def _origin() -> AsyncIterator[Origin]:
    async with origin() as server:
        yield server


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    """A fetcher with one request at a time per host."""
    policy = FetchPolicy(
        allowed_networks=(ip_network("127.0.0.1/32"),), per_host_limit=1, per_host_wait=1
    )
    fetcher = Fetcher(policy)
    yield fetcher
    await fetcher.close()


def worker_of(fetcher: Fetcher, aws: Aws, queue_url: str) -> MessageHandler:
    """A worker that only fetches."""
    return MessageHandler(
        queue=ReceiveQueue(SqsQueue(aws.http.sqs, queue_url)),
        pipeline=Pipeline(
            fetcher=fetcher,
            decoder=NOTHING,
            storage=NOTHING,
            renditions=NOTHING,
            reuse=NOTHING,
            tables=NOTHING,
            retry_policy=RetryPolicy(3),
        ),
        renditions=NOTHING,
        tables=NOTHING,
        notifier=NOTHING,
        retry_policy=RetryPolicy(3),
        deaths=NOTHING,
        max_deaths=2,
    )


def requeued(fake_aws: FakeAws) -> list[dict[str, Any]]:
    """The messages sent to SQS."""
    entries = [entry for body in fake_aws.bodies for entry in json.loads(body)["Entries"]]
    return [json.loads(entry["MessageBody"]) for entry in entries if "MessageBody" in entry]


@dataclass
class BusyOrigin:
    """Fails at /p when another request waits for the host's only slot, and holds that request at /held."""

    http: Origin
    fetcher: Fetcher
    end: asyncio.Event = field(default_factory=asyncio.Event)
    others: list[asyncio.Task[bytes]] = field(default_factory=list)

    async def fail(self, _: web.BaseRequest) -> web.StreamResponse:
        self.others.append(asyncio.create_task(get(self.fetcher, self.http.url("/held"))))
        await asyncio.sleep(0)
        return web.Response(status=500)

    async def hold(self, _: web.BaseRequest) -> web.StreamResponse:
        await self.end.wait()
        return web.Response(body=b"image")


async def test_a_busy_host_costs_no_attempt_and_resets_none(
    origin: Origin, fetcher: Fetcher, scripted_aws: Aws, fake_aws: FakeAws
) -> None:
    """One failed attempt, then no slot: the requeued message counts one attempt."""
    fake_aws.script = (FakeAnswer(body=b'{"Successful": [{"Id": "0"}], "Failed": []}'),)
    busy = BusyOrigin(origin, fetcher)
    origin.routes["/p"], origin.routes["/held"] = busy.fail, busy.hold
    message = ImageMessage(str(uuid.uuid4()), "acme", origin.url("/p"), revision=1)
    async with asyncio.timeout(HANG_TIMEOUT_S):
        await worker_of(fetcher, scripted_aws, f"{fake_aws.url}/queue").handle(
            ReceivedMessage(message, receipts=("r",), receive_count=1, sent_at=now_ms())
        )
    busy.end.set()
    await asyncio.gather(*busy.others)
    assert [each["attempts"] for each in requeued(fake_aws)] == [1]
    assert [path for path, _ in origin.requests] == ["/p", "/held"]

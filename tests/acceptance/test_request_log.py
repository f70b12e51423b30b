"""The log line of each request that ends."""

import asyncio
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import IO, Any

import pytest
from aiohttp import web

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy, pass_on
from harness.images import html
from harness.origin import numbered_png, origin, reply_with
from harness.orphaned_requests import insert, row_of
from harness.processes import Process
from harness.stores import stores_of
from harness.system import System, system

CUSTOMER = "acme"
QUERY = "?token=a-secret"
STEPS = ["fetch", "inspect", "store", "record", "complete", "notify"]

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Log:
    """The output of one process, as JSON from level info."""

    file: IO[bytes]

    async def start(self, running: System, *arguments: str) -> Process:
        """Start a consumer, or an operator's command."""
        settings = {"LOG_LEVEL": "info", "LOG_FORMAT": "json"}
        role = "operator" if arguments else None
        return await running.start("consumer", settings, arguments, role=role, log=self.file)

    async def lines(self) -> list[Line]:
        """Return the log of a process that has ended. It has no customer id and no URL of an origin."""
        self.file.seek(0)
        text = (await asyncio.to_thread(self.file.read)).decode()
        assert CUSTOMER not in text
        assert QUERY not in text
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.fixture
def log() -> Iterator[Log]:
    with tempfile.TemporaryFile() as file:
        yield Log(file)


def ends_in(written: Iterable[Line]) -> dict[tuple[str, int], Line]:
    """Return the lines of ends by request id and revision. No revision has two lines."""
    lines = [line for line in written if line["event"] == "request ended"]
    ends = {(line["request_id"], line["revision"]): line for line in lines}
    assert len(ends) == len(lines)
    return ends


def results_of(ends: dict[tuple[str, int], Line]) -> dict[tuple[str, int], tuple[str, str, int]]:
    return {
        end: (line["state"], line["failure_code"], line["attempts"]) for end, line in ends.items()
    }


async def test_each_end_has_one_line(embedded_aws: RecordingAws, log: Log) -> None:
    """Images, failures of several steps, and requests that an operator retried: a line per terminal revision."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await log.start(running)
        images.serve("/html", reply_with(body=html()))
        images.serve("/broken", reply_with(status=500))
        urls = [images.url(f"{path}{QUERY}") for path in ("/n/1", "/none", "/html", "/broken")]
        ids = [await running.submit(url) for url in (*urls, "http://10.0.0.1/n/1")]
        image, none, page, broken, blocked = ids
        await running.wait_terminal(ids)
        images.serve_body("/broken", numbered_png(2))
        for again in (none, broken):
            assert await running.run_operator("retry-failed", "--request-id", again) == 0
        await running.wait_terminal(ids)
        await running.stop()
        ends = ends_in(await log.lines())
        assert results_of(ends) == {
            (image, 2): ("COMPLETED", "", 1),
            (none, 2): ("FAILED", "NOT_FOUND", 1),
            (page, 2): ("FAILED", "NOT_AN_IMAGE", 1),
            (broken, 2): ("FAILED", "ORIGIN_ERROR", 3),
            (blocked, 2): ("FAILED", "BLOCKED_ADDRESS", 1),
            (none, 4): ("FAILED", "NOT_FOUND", 1),
            (broken, 4): ("COMPLETED", "", 1),
        }
        tags = {line["customer_tag"] for line in ends.values()}
        assert tags == {each["s3Url"]["S"].split("/")[-2] for each in await stores.images()}
        for line in ends.values():
            assert line["request_seconds"] > 0
            ended = line["state"] == "COMPLETED"
            assert list(line["step_seconds"]) == (STEPS if ended else failed_steps(line))


def failed_steps(line: Line) -> list[str]:
    """The step that failed is the last one before the notification."""
    return ["fetch", *["inspect"] * (line["failure_code"] == "NOT_AN_IMAGE"), "notify"]


async def test_an_end_without_a_run_has_its_line(embedded_aws: RecordingAws, log: Log) -> None:
    """A request that is completed with the image of an earlier run, and one whose image has ended too many workers."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        url = images.image_url(1)
        recorded = await running.submit(url)
        await running.wait_terminal([recorded])
        await running.stop()
        row = await row_of(stores, recorded)
        del row["imageId"]
        row |= {"status": {"S": "PENDING"}, "revision": {"N": "1"}}
        crashed = await insert(running, url, age_ms=0)
        blamed = await row_of(stores, crashed) | {"retryCount": {"N": "2"}}
        for item in (row, blamed):
            await stores.dynamodb.put_item(TableName=running.stack.requests_table, Item=item)
        message = ImageMessage(recorded, CUSTOMER, url, revision=1, resent=True)
        suspected = replace(message, request_id=crashed, suspect=True, attempts=1)
        for each in (message, suspected):
            await stores.sqs.send_message(
                QueueUrl=running.stack.queue_url, MessageBody=each.encode()
            )
        await log.start(running)
        await stores.until_depth(running.stack.queue_url, 0)
        await running.stop()
        ends = ends_in(await log.lines())
        assert results_of(ends) == {
            (recorded, 2): ("COMPLETED", "", 0),
            (crashed, 2): ("FAILED", "CRASHED", 1),
        }
        assert list(ends[recorded, 2]["step_seconds"]) == ["complete", "notify"]
        # The time of acceptance is not in these messages.
        assert not any("request_seconds" in line for line in ends.values())


async def test_reconcile_writes_the_line_of_a_request_that_it_fails(
    embedded_aws: RecordingAws, log: Log
) -> None:
    """One that returned to the DLQ, and one that was claimed too often."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        url = images.url(f"/n/1{QUERY}")
        returned, claimed = [await insert(running, url, age_ms=7_200_000) for _ in range(2)]
        row = await row_of(stores, claimed) | {"claims": {"N": "5"}}
        await stores.dynamodb.put_item(TableName=running.stack.requests_table, Item=row)
        message = ImageMessage(returned, CUSTOMER, url, 1, 2, pending_since=1, from_dlq=True)
        await stores.sqs.send_message(QueueUrl=running.stack.dlq_url, MessageBody=message.encode())
        reconcile = await log.start(running, "reconcile")
        assert await reconcile.wait() == 0
        ends = ends_in(await log.lines())
        assert results_of(ends) == {
            (returned, 2): ("FAILED", "UNDELIVERABLE", 2),
            (claimed, 2): ("FAILED", "UNDELIVERABLE", 0),
        }
        assert {line["process"] for line in ends.values()} == {"reconcile"}


async def test_a_failed_notification_does_not_lose_the_line(
    embedded_aws: RecordingAws, log: Log
) -> None:
    """The later notification has a line of its own."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        requeued = asyncio.Event()
        proxy.hook = sns_is_down(requeued)
        await log.start(running)
        request_id = await running.submit(images.image_url(1))
        await requeued.wait()
        proxy.hook = pass_on
        await stores.notifications([f"{request_id}:2"])
        await stores.until_depth(running.stack.queue_url, 0)
        await running.stop()
        lines = await log.lines()
        assert results_of(ends_in(lines)) == {(request_id, 2): ("COMPLETED", "", 1)}
        (again,) = [line for line in lines if line["event"] == "request notified again"]
        assert (again["request_id"], again["revision"]) == (request_id, 2)


def sns_is_down(requeued: asyncio.Event) -> Hook:
    """SNS is down; `requeued` is set once a worker requeues a message."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "PublishBatch":
            raise Unreachable
        if call.operation == "SendMessageBatch" and rb"\"resent\":true" in call.body:
            requeued.set()
        return await forward()

    return hook

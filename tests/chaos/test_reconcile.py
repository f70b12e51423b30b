"""The requests that reconcile rescues."""

import asyncio
import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.aws_proxy import (
    Forward,
    Hook,
    ProxiedCall,
    Unreachable,
    aws_proxy,
    pass_on,
)
from harness.metrics import MetricsPort
from harness.origin import origin
from harness.orphaned_requests import insert, row_of
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.waiting import wait_for

HOUR_MS = 3_600_000


async def test_an_orphaned_request_is_sent_and_completes(
    embedded_aws: RecordingAws,
) -> None:
    """It must be older than the margin: the message of a younger request may be in a batch that is not sent yet."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        old = await insert(running, images.image_url(1), age_ms=HOUR_MS)
        young = await insert(running, images.image_url(2), age_ms=0)
        assert await running.run_operator("reconcile") == 0
        await running.start_consumer()
        await running.wait_terminal([old])
        await stores.until_depth(running.stack.queue_url, 0)
        assert (await row_of(stores, old))["status"]["S"] == "COMPLETED"
        assert (await row_of(stores, young))["status"]["S"] == "PENDING"


@pytest.mark.parametrize("older", ["interactive", "bulk"])
async def test_no_request_younger_than_the_oldest_message_is_sent_again(
    embedded_aws: RecordingAws, older: str
) -> None:
    """Of both lanes. Its own message may be behind that one. The emulator tells no age: it may be 14 days."""
    async with system(embedded_aws) as running, stores_of(running) as stores:
        stack = running.stack
        request_id = await insert(running, "https://a.example/1", age_ms=HOUR_MS)
        queue_url = stack.queue_url if older == "interactive" else stack.bulk_queue_url
        await stores.sqs.send_message(QueueUrl=queue_url, MessageBody="another message")
        assert await running.run_operator("reconcile", "--margin", "1500") == 0
        assert "claims" not in await row_of(stores, request_id)
        await stores.sqs.purge_queue(QueueUrl=queue_url)
        assert await running.run_operator("reconcile", "--margin", "1500") == 0
        assert await sent_again(running, stores) == {request_id}


async def test_a_malformed_row_is_skipped(
    embedded_aws: RecordingAws,
) -> None:
    """The row is unchanged, and the other requests are rescued."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        urls = [images.image_url(number) for number in range(5)]
        malformed, *others = [await insert(running, url, age_ms=HOUR_MS) for url in urls]
        row = await row_of(stores, malformed)
        del row["originUrl"]
        await stores.dynamodb.put_item(TableName=running.stack.requests_table, Item=row)
        assert await running.run_operator("reconcile") == 0
        assert await row_of(stores, malformed) == row
        assert await sent_again(running, stores) == set(others)


async def test_a_request_whose_message_sqs_rejects_is_skipped(
    embedded_aws: RecordingAws,
) -> None:
    """The rejection is not an outage: the other requests are rescued, and the next run tries this one again."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        urls = [images.image_url(number) for number in range(5)]
        refused, *others = [await insert(running, url, age_ms=HOUR_MS) for url in urls]
        proxy.hook = refuse_to_send(refused)
        assert await running.run_operator("reconcile") == 0
        assert (await row_of(stores, refused))["status"]["S"] == "PENDING"
        assert await sent_again(running, stores) == set(others)


def refuse_to_send(request_id: str) -> Hook:
    """SQS rejects the messages of this request, and batches that contain one."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation != "SendMessageBatch" or request_id.encode() not in call.body:
            return await forward()
        if len(json.loads(call.body)["Entries"]) > 1:
            return web.json_response({"__type": "InvalidMessageContents"}, status=400)
        failed = {"Id": "0", "Code": "InvalidMessageContents", "SenderFault": True, "Message": ""}
        return web.json_response({"Successful": [], "Failed": [failed]})

    return hook


async def sent_again(running: System, stores: Stores) -> set[str]:
    """Return the request ids of the messages in the queue, which has no consumer. Empties it."""
    ids: set[str] = set()
    while batch := await stores.receive(running.stack.bulk_queue_url):
        ids |= {json.loads(message["Body"])["request_id"] for message in batch}
    return ids


async def test_a_request_that_was_claimed_too_often_fails_undeliverable(
    embedded_aws: RecordingAws,
) -> None:
    """It is FAILED, with a notification and a failed-requests message. A worker that receives its message counts it."""
    consumer = MetricsPort()
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        request_id = await insert(running, images.image_url(1), age_ms=HOUR_MS)
        # There is no consumer. A claim updates the row, so the margin is below zero.
        arguments = ("reconcile", "--max-claims", "1", "--margin", "-1")
        assert await running.run_operator(*arguments) == 0
        assert (await row_of(stores, request_id))["claims"]["N"] == "1"
        assert len(await stores.receive(running.stack.bulk_queue_url)) == 1
        assert await running.run_operator(*arguments) == 0
        assert (await row_of(stores, request_id))["failureCode"]["S"] == "UNDELIVERABLE"
        (notification,) = await stores.notifications([f"{request_id}:2"])
        assert notification.attributes["status"] == "FAILED"
        (failed,) = await stores.failed_requests(1)
        assert failed["request_id"] == request_id
        await running.start_consumer(**consumer.settings)
        await consumer.until(
            lambda page: (
                page.value("consumer_ended_requests_total", failure_code="UNDELIVERABLE") == 1
            )
        )


async def test_an_interrupted_scan_resumes_from_its_checkpoint(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """The second run reads only the segments that the first did not finish, and deletes the checkpoint."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
    ):
        await insert(running, images.image_url(1), age_ms=HOUR_MS)
        checkpoint = tmp_path / "checkpoint.json"
        arguments = ("reconcile", "--segments", "4", "--checkpoint", str(checkpoint))
        scans = Scans(answered=2)
        proxy.hook = scans.hook

        async def two_finished() -> bool:
            return await finished_segments(checkpoint) == 2

        first = await running.start_operator(*arguments)
        await wait_for(two_finished, "two finished segments")
        first.send_signal(signal.SIGTERM)
        assert await first.wait() == 128 + signal.SIGTERM
        for expected in (2, 4):
            scans = Scans()
            proxy.hook = scans.hook
            assert await running.run_operator(*arguments) == 0
            assert scans.count == expected


@dataclass(slots=True)
class Scans:
    """Counts the scans of a table. With `answered`, the later ones get no answer."""

    answered: int | None = None
    count: int = 0

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "Scan":
            self.count += 1
            if self.answered is not None and self.count > self.answered:
                await asyncio.Event().wait()
        return await forward()


async def finished_segments(checkpoint: Path) -> int:
    """A finished segment has no position any more."""
    text = await asyncio.to_thread(lambda: checkpoint.read_text() if checkpoint.exists() else "")
    return list(json.loads(text)["positions"].values()).count(None) if text else 0


def s3_is_down(touched: asyncio.Event) -> Hook:
    """S3 is down; `touched` is set once a worker has touched a row."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "PUT":
            raise Unreachable
        answer = await forward()
        if call.operation == "BatchExecuteStatement" and b"claims" in call.body:
            touched.set()
        return answer

    return hook


async def test_a_request_whose_message_circulates_for_long_is_left_alone(
    embedded_aws: RecordingAws,
) -> None:
    """Workers touch its row in a long outage, so reconcile neither sends a second message nor fails it."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        request_id = await insert(running, images.image_url(1), age_ms=2 * HOUR_MS)
        message = ImageMessage(request_id, "acme", images.image_url(1), revision=1, resent=True)
        await stores.sqs.send_message(
            QueueUrl=running.stack.queue_url, MessageBody=message.encode()
        )
        touched = asyncio.Event()
        proxy.hook = s3_is_down(touched)
        await running.start_consumer()
        await touched.wait()
        assert await running.run_operator("reconcile") == 0
        assert (await row_of(stores, request_id))["claims"]["N"] == "0"
        proxy.hook = pass_on
        await running.wait_terminal([request_id])
        await stores.prove_each_ended_once([request_id])


async def test_a_run_that_failed_before_the_notification_is_repeated(
    embedded_aws: RecordingAws,
) -> None:
    """SNS is down after the request FAILED. The next run reads the message again, notifies, and then deletes it."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        request_id = await insert(running, images.image_url(1), age_ms=0)
        message = ImageMessage(request_id, "acme", images.image_url(1), revision=1, from_dlq=True)
        url = running.stack.dlq_url
        await stores.sqs.send_message(QueueUrl=url, MessageBody=message.encode())
        proxy.hook = sns_is_down
        assert await running.run_operator("reconcile") == 1
        assert (await row_of(stores, request_id))["status"]["S"] == "FAILED"
        proxy.hook = pass_on
        assert await running.run_operator("reconcile") == 0
        (notification,) = await stores.notifications([f"{request_id}:2"])
        assert notification.attributes["status"] == "FAILED"
        (failed,) = await stores.failed_requests(1)
        assert failed["request_id"] == request_id


async def sns_is_down(call: ProxiedCall, forward: Forward) -> web.Response:
    if call.operation == "PublishBatch":
        raise Unreachable
    return await forward()

"""Requeueing a message while AWS fails."""

import asyncio
import json
import signal
import uuid

from aiohttp import web

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy, cut, pass_on
from harness.origin import numbered_png, origin
from harness.stores import Stores, stores_of
from harness.system import System, system


async def test_sigterm_in_an_outage_ends_the_consumer(
    embedded_aws: RecordingAws,
) -> None:
    """The message cannot be requeued. It is received again after its visibility timeout, and is not lost."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, VisibilityTimeoutSeconds="5") as running,
        stores_of(running) as stores,
    ):
        down = asyncio.Event()

        async def outage_begins(_request: web.Request) -> web.Response:
            proxy.hook = cut
            down.set()
            return web.Response(status=404)

        await running.start_server()
        request_id = await running.submit(images.serve("/outage.png", outage_begins))
        consumer = await running.start_consumer(DRAIN_GRACE_S="1")
        await down.wait()
        consumer.send_signal(signal.SIGTERM)
        assert await consumer.wait() == 0
        proxy.hook = pass_on
        images.serve_body("/outage.png", numbered_png(1))
        await running.start_consumer()
        await running.wait_terminal([request_id])
        await stores.prove_each_ended_once([request_id])


def no_delete_and_no_upload(copies: list[str], refused: asyncio.Semaphore) -> Hook:
    """S3 is down, and SQS accepts sends but no deletes; records the messages that are sent."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "PUT":
            raise Unreachable
        if call.operation == "DeleteMessageBatch":
            refused.release()
            raise Unreachable
        if call.operation == "SendMessageBatch":
            copies.extend(entry["MessageBody"] for entry in json.loads(call.body)["Entries"])
        return await forward()

    return hook


async def test_a_failed_delete_after_the_send_makes_no_second_copy(
    embedded_aws: RecordingAws,
) -> None:
    """A repeated requeue repeats only the step that failed."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        request_id = await running.submit(images.image_url(1))
        copies: list[str] = []
        refused = asyncio.Semaphore(0)
        proxy.hook = no_delete_and_no_upload(copies, refused)
        await running.start_consumer()
        # A call makes three tries, so after seven tries the requeue was repeated twice.
        for _ in range(7):
            await refused.acquire()
        assert len(copies) == 1
        proxy.hook = pass_on
        await running.wait_terminal([request_id])
        await stores.prove_each_ended_once([request_id])


async def send_quarantined(stores: Stores, running: System, request_id: str, url: str) -> None:
    message = ImageMessage(request_id, "acme", url, revision=1, resent=True, suspect=True)
    await stores.sqs.send_message(QueueUrl=running.stack.queue_url, MessageBody=message.encode())


def lose_the_first_count_response(lost: list[str]) -> Hook:
    """The count of runs is written, but the response to the first try is lost."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if call.operation == "BatchExecuteStatement" and b"runId" in call.body and not lost:
            lost.append(call.operation)
            raise Unreachable
        return answer

    return hook


async def test_a_count_whose_response_was_lost_is_not_taken_for_a_race(
    embedded_aws: RecordingAws,
) -> None:
    """The retry of the write is rejected. The row has the id of this run, so the run continues."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        request_id = str(uuid.uuid4())
        await running.submit(images.image_url(1), request_id=request_id)
        await stores.receive(running.stack.queue_url, wait=5)
        await send_quarantined(stores, running, request_id, images.image_url(1))
        lost: list[str] = []
        proxy.hook = lose_the_first_count_response(lost)
        await running.start_consumer()
        await running.wait_terminal([request_id])
        assert lost
        (row,) = await stores.requests()
        assert (row["status"]["S"], row["retryCount"]["N"]) == ("COMPLETED", "1")
        assert images.hits["/n/1"] == 1

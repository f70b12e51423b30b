"""Requeueing a message while AWS fails."""

import asyncio
import json
import signal

from aiohttp import web

from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy, cut, pass_on
from harness.origin import numbered_png, origin
from harness.stores import stores_of
from harness.system import system


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

"""Copies of a message: repeated submits do not multiply work, and copies blame no image."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web

from core.model.message import ImageMessage, decode_message
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, Unreachable, aws_proxy
from harness.origin import Handler, numbered_png, origin, reply_with
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

VISIBILITY_S = "4"
REPEATS = 10
ATTEMPTS = 3


async def submit_all(running: System, url: str, request_id: str, *, together: bool) -> None:
    """Submit one request ten times, one after another or at the same time."""
    if together:
        await asyncio.gather(*(running.submit(url, request_id=request_id) for _ in range(REPEATS)))
        return
    for _ in range(REPEATS):
        await running.submit(url, request_id=request_id)


def queues(running: System) -> tuple[str, str]:
    return running.stack.queue_url, running.stack.bulk_queue_url


async def notifications(running: System, stores: Stores, request_id: str) -> int:
    """Return how often the end of the request was notified, when no message is left that could notify again."""
    for queue_url in queues(running):
        await stores.until_depth(queue_url, 0)
    return len(await stores.notifications({f"{request_id}:2"}))


@pytest.mark.parametrize("together", [False, True], ids=["in sequence", "together"])
@pytest.mark.parametrize(
    ("answer", "fetches", "state"),
    [
        (reply_with(body=numbered_png(1)), 1, pb.STATE_COMPLETED),
        (reply_with(status=500), ATTEMPTS, pb.STATE_FAILED),
        (reply_with(status=404), 1, pb.STATE_FAILED),
    ],
    ids=["good", "broken", "missing"],
)
async def test_ten_equal_submits_are_one_piece_of_work(
    embedded_aws: RecordingAws,
    together: bool,
    answer: Handler,
    fetches: int,
    state: pb.State.ValueType,
) -> None:
    """One message, so its attempts, one notification, and one record of a failure. All are submitted before the end."""
    request_id = str(uuid.uuid4())
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        submitted = asyncio.Event()

        async def answer_when_submitted(request: web.Request) -> web.StreamResponse:
            await submitted.wait()
            return await answer(request)

        await running.start_server()
        await running.start_consumer()
        url = images.serve("/image", answer_when_submitted)
        await submit_all(running, url, request_id, together=together)
        # Counted here: a worker merges messages that it receives together, and a copy may be delayed.
        assert sum([await stores.depth(queue_url) for queue_url in queues(running)]) == 1
        submitted.set()
        ended = await running.wait_terminal([request_id])
        assert ended[request_id].state == state
        assert await notifications(running, stores, request_id) == 1
        assert images.hits["/image"] == fetches
        failed = state == pb.STATE_FAILED
        assert await stores.depth(running.stack.failed_requests_queue_url) == failed


async def test_the_copy_of_another_server_is_delayed_and_deleted_without_a_notification(
    embedded_aws: RecordingAws,
) -> None:
    """The second server does not know that the message was sent. Its copy finds the request ended.

    The test keeps the copy until then, instead of the delay.
    """
    request_id = str(uuid.uuid4())
    delayed: list[dict[str, Any]] = []
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):

        async def keep_copies(call: ProxiedCall, forward: Forward) -> web.Response:
            if call.operation != "SendMessageBatch" or b'"DelaySeconds":60' not in call.body:
                return await forward()
            entries = json.loads(call.body)["Entries"]
            delayed.extend(entries)
            return web.json_response(
                {"Successful": [{"Id": each["Id"], "MessageId": "kept"} for each in entries]}
            )

        proxy.hook = keep_copies
        await running.start_server()
        await running.submit(images.image_url(1), request_id=request_id)
        running.address = ""
        await running.start_server()
        await running.submit(images.image_url(1), request_id=request_id)
        (copy,) = delayed
        await running.start_consumer()
        await running.wait_terminal([request_id])
        sqs: Any = stores.sqs
        await sqs.send_message(
            QueueUrl=running.stack.queue_url,
            MessageBody=copy["MessageBody"],
            MessageGroupId=copy["MessageGroupId"],
        )
        assert await notifications(running, stores, request_id) == 1
        assert images.hits["/n/1"] == 1


async def prove_completed_without_deaths(running: System, stores: Stores, request_id: str) -> None:
    ended = await running.wait_terminal([request_id])
    assert ended[request_id].state == pb.STATE_COMPLETED, ended[request_id]
    (row,) = await stores.requests()
    assert row["retryCount"]["N"] == "0"


async def test_lost_answers_to_receives_blame_no_image(embedded_aws: RecordingAws) -> None:
    """Each receive that loses its answer makes the message a suspected one, while its client repeats the submit."""
    request_id = str(uuid.uuid4())
    lost = 0
    refused = 0
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws, endpoint=proxy.endpoint, VisibilityTimeoutSeconds=VISIBILITY_S
        ) as running,
        stores_of(running) as stores,
    ):

        async def lose_three(call: ProxiedCall, forward: Forward) -> web.Response:
            nonlocal lost
            answer = await forward()
            if call.operation == "ReceiveMessage" and b"ReceiptHandle" in bytes(answer.body or b""):  # type: ignore[arg-type]
                lost += 1
                if lost <= 3:
                    raise Unreachable
            return answer

        async def busy(_request: web.Request) -> web.Response:
            nonlocal refused
            refused += 1
            if refused < ATTEMPTS:
                return web.Response(status=503)
            return web.Response(body=numbered_png(1))

        proxy.hook = lose_three
        await running.start_server()
        url = images.serve("/busy", busy)
        await running.submit(url, request_id=request_id)
        await running.start_consumer()
        await wait_for(lambda: lost > 1, "a message is received again")
        await running.submit(url, request_id=request_id)
        await prove_completed_without_deaths(running, stores, request_id)
        assert refused == ATTEMPTS


async def send_copies(running: System, stores: Stores, count: int) -> None:
    """Send copies of the message of the only request, as servers do that do not know of each other."""
    (row,) = await stores.requests()
    message = ImageMessage(
        request_id=row["requestId"]["S"],
        customer_id=row["customerId"]["S"],
        url=row["originUrl"]["S"],
        revision=1,
        created_at=int(row["createdAt"]["N"]),
    )
    copies: Sequence[str] = [message.as_copy().encode()] * count
    assert decode_message(copies[0]).copy
    sqs: Any = stores.sqs
    for body in copies:
        await sqs.send_message(
            QueueUrl=running.stack.queue_url, MessageBody=body, MessageGroupId="acme"
        )


async def test_a_consumer_that_dies_with_four_copies_blames_no_image(
    embedded_aws: RecordingAws,
) -> None:
    """The copies are received again by several consumers. The image is fetched for a long time, and is harmless."""
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds=VISIBILITY_S) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        request_id = await running.submit(images.hold("/slow"))
        await send_copies(running, stores, 3)
        killed = await running.start_consumer()
        await wait_for(lambda: images.hits["/slow"] > 0, "the image is fetched")
        await running.kill(killed)
        before = images.hits["/slow"]
        for _ in range(3):
            await running.start_consumer()
        await wait_for(lambda: images.hits["/slow"] > before, "the image is fetched again")
        images.release()
        await prove_completed_without_deaths(running, stores, request_id)
        assert len(await stores.images()) == 1

"""Messages in the DLQ, as reconcile processes them: they go back once, then their requests fail."""

import asyncio
import json
import signal
from dataclasses import replace

import pytest
from aiohttp import web

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.aws_proxy import (
    AwsProxy,
    Forward,
    ProxiedCall,
    Unreachable,
    aws_proxy,
    pass_on,
)
from harness.messages import take
from harness.origin import origin
from harness.orphaned_requests import insert, row_of
from harness.processes import Process
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.waiting import wait_for

# Short, so that a message whose consumer has died is received again soon, and in the DLQ soon.
VISIBILITY_S = "3"
TWO_RECEIVES = "2"


async def test_a_message_in_the_dlq_goes_back_to_the_queue(
    embedded_aws: RecordingAws,
) -> None:
    """A claim shows that the request has a message. A message of another shape stays, for an operator to read."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        url = images.image_url(1)
        request_id = await insert(running, url, age_ms=2 * 3_600_000)
        message = ImageMessage(request_id, "acme", url, revision=1, attempts=1)
        for body in (message.encode(), "not a message of ours"):
            await stores.sqs.send_message(QueueUrl=running.stack.dlq_url, MessageBody=body)
        assert await running.run_operator("reconcile") == 0
        row = await row_of(stores, request_id)
        assert (row["status"]["S"], row["claims"]["N"]) == ("PENDING", "1")
        assert await stores.depth(running.stack.dlq_url) == 1
        # One message: the scan of the same run does not take the request for an orphan.
        (sent,) = await take(stores.sqs, running.stack.bulk_queue_url, 1)
        assert sent == replace(message, resent=True, suspect=True, from_dlq=True)


async def test_a_message_that_no_consumer_could_finish_goes_back_and_completes(
    embedded_aws: RecordingAws,
) -> None:
    """It is still suspected, so its image is decoded alone. The frozen consumers wake up and do no harm."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws,
            endpoint=proxy.endpoint,
            MaxReceiveCount=TWO_RECEIVES,
            VisibilityTimeoutSeconds=VISIBILITY_S,
        ) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        request_id = await running.submit(images.image_url(1))
        frozen = await fill_dlq(running, proxy, stores, signal.SIGSTOP)
        assert await running.run_operator("reconcile") == 0
        assert await stores.depth(running.stack.dlq_url) == 0
        await running.start_consumer()
        await running.wait_terminal([request_id])
        for consumer in frozen:
            consumer.send_signal(signal.SIGCONT)
        await running.stop()
        await stores.prove_each_ended_once([request_id])
        assert (await row_of(stores, request_id))["retryCount"]["N"] == "0"


async def test_a_message_that_returns_to_the_dlq_fails_its_request(
    embedded_aws: RecordingAws,
) -> None:
    """The request is FAILED UNDELIVERABLE, with a notification and a failed-requests message."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(
            embedded_aws,
            endpoint=proxy.endpoint,
            MaxReceiveCount=TWO_RECEIVES,
            VisibilityTimeoutSeconds=VISIBILITY_S,
        ) as running,
        stores_of(running) as stores,
    ):
        await running.start_server()
        request_id = await running.submit(images.image_url(1))
        for state in ("PENDING", "FAILED"):
            killed = await fill_dlq(running, proxy, stores, signal.SIGKILL)
            assert len(killed) == 2
            assert await running.run_operator("reconcile") == 0
            assert (await row_of(stores, request_id))["status"]["S"] == state
        assert (await row_of(stores, request_id))["failureCode"]["S"] == "UNDELIVERABLE"
        (notification,) = await stores.notifications([f"{request_id}:2"])
        assert notification.attributes["status"] == "FAILED"
        (failed,) = await stores.failed_requests(1)
        assert failed["request_id"] == request_id
        for url in (running.stack.dlq_url, running.stack.bulk_queue_url):
            assert await stores.depth(url) == 0


async def fill_dlq(
    running: System, proxy: AwsProxy, stores: Stores, number: signal.Signals
) -> list[Process]:
    """Send a signal to each consumer that receives the message, until SQS moves the message to the DLQ.

    Return these consumers. The one that caused the move has ended.
    """
    healthy: list[Process] = []
    struck: list[Process] = []

    async def strike(call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if call.operation == "ReceiveMessage" and healthy and b"ReceiptHandle" in body_of(answer):
            struck.append(healthy.pop())
            struck[-1].send_signal(number)
        return answer

    async def struck_or_moved() -> bool:
        return not healthy or await stores.depth(running.stack.dlq_url) == 1

    proxy.hook = strike
    while not healthy:
        healthy.append(await running.start_consumer())
        await wait_for(struck_or_moved, "a signal, or a message in the DLQ")
    proxy.hook = pass_on
    healthy[0].send_signal(signal.SIGTERM)
    assert await healthy[0].wait() == 0
    if number is signal.SIGKILL:
        for process in struck:
            await process.wait()
            running.processes.remove(process)
    return struck


def body_of(answer: web.Response) -> bytes:
    assert isinstance(answer.body, bytes)
    return answer.body


async def test_a_lost_mark_costs_rounds_and_the_claims_bound_them(
    embedded_aws: RecordingAws,
) -> None:
    """A consumer of the previous version drops the mark when it requeues the message."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        url = images.image_url(1)
        request_id = await insert(running, url, age_ms=0)
        message = ImageMessage(request_id, "acme", url, revision=1)
        for _ in range(2):
            await send_to_dlq(running, stores, message)
            assert await running.run_operator("reconcile", "--max-claims", "2") == 0
            (sent,) = await take(stores.sqs, running.stack.bulk_queue_url, 1)
            message = replace(sent, from_dlq=False)
        await send_to_dlq(running, stores, message)
        assert await running.run_operator("reconcile", "--max-claims", "2") == 0
        assert (await row_of(stores, request_id))["failureCode"]["S"] == "UNDELIVERABLE"
        assert await stores.depth(running.stack.bulk_queue_url) == 0


async def send_to_dlq(running: System, stores: Stores, message: ImageMessage) -> None:
    await stores.sqs.send_message(QueueUrl=running.stack.dlq_url, MessageBody=message.encode())


async def test_a_claim_whose_answer_was_lost_is_not_taken_for_a_race(
    embedded_aws: RecordingAws,
) -> None:
    """The repetition of the write is rejected. The row has the claim of this run, so the message goes back."""
    async with (
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        url = "http://127.0.0.1/never-fetched"
        request_id = await insert(running, url, age_ms=0)
        await send_to_dlq(running, stores, ImageMessage(request_id, "acme", url, revision=1))
        lost: list[str] = []

        async def lose_the_first_claim(call: ProxiedCall, forward: Forward) -> web.Response:
            answer = await forward()
            if call.operation == "BatchExecuteStatement" and not lost:
                lost.append(call.operation)
                raise Unreachable
            return answer

        proxy.hook = lose_the_first_claim
        assert await running.run_operator("reconcile") == 0
        assert lost
        assert (await row_of(stores, request_id))["claims"]["N"] == "1"
        assert await stores.depth(running.stack.dlq_url) == 0
        assert await stores.depth(running.stack.bulk_queue_url) == 1


class StopAt:
    """Answers no call of an operation. `receipts` are those of the messages received before."""

    def __init__(self, operation: str) -> None:
        self._operation = operation
        self.reached = asyncio.Event()
        self.receipts: list[str] = []

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == self._operation:
            self.reached.set()
            raise Unreachable
        answer = await forward()
        if call.operation == "ReceiveMessage":
            messages = json.loads(body_of(answer)).get("Messages", [])
            self.receipts.extend(message["ReceiptHandle"] for message in messages)
        return answer


@pytest.mark.parametrize(
    ("killed_at", "sent"), [("SendMessageBatch", 1), ("DeleteMessageBatch", 2)]
)
async def test_a_killed_reconcile_loses_no_message(
    embedded_aws: RecordingAws, killed_at: str, sent: int
) -> None:
    """The message is sent before it is deleted, so the next run may send it twice."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        url = images.image_url(1)
        request_id = await insert(running, url, age_ms=0)
        await send_to_dlq(running, stores, ImageMessage(request_id, "acme", url, revision=1))
        stop = StopAt(killed_at)
        proxy.hook = stop.hook
        killed = await running.start_operator("reconcile")
        await stop.reached.wait()
        killed.kill()
        await killed.wait()
        proxy.hook = pass_on
        # Instead of a wait for the end of its visibility timeout.
        await stores.sqs.change_message_visibility(
            QueueUrl=running.stack.dlq_url, ReceiptHandle=stop.receipts[-1], VisibilityTimeout=0
        )
        assert await running.run_operator("reconcile") == 0
        assert await stores.depth(running.stack.dlq_url) == 0
        assert await stores.depth(running.stack.bulk_queue_url) == sent
        await running.start_server()
        await running.start_consumer()
        await running.wait_terminal([request_id])
        await running.stop()
        await stores.prove_each_ended_once([request_id])


async def test_a_message_in_the_dlq_of_a_completed_request_is_notified_again(
    embedded_aws: RecordingAws,
) -> None:
    """The worker may have died before the notification: it is sent again with the same id, and nothing else changes."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        url = images.image_url(1)
        await running.start_server()
        await running.start_consumer()
        request_id = await running.submit(url)
        await running.wait_terminal([request_id])
        await running.stop()
        (notification,) = await stores.notifications({f"{request_id}:2"})
        await send_to_dlq(running, stores, ImageMessage(request_id, "acme", url, revision=1))
        assert await running.run_operator("reconcile") == 0
        assert (await row_of(stores, request_id))["status"]["S"] == "COMPLETED"
        assert await stores.depth(running.stack.dlq_url) == 0
        assert await stores.notifications({notification.id}) == [notification]

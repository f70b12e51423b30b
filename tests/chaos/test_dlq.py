"""Messages in the DLQ, as reconcile processes them."""

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.origin import origin
from harness.orphaned_requests import insert, row_of
from harness.stores import stores_of
from harness.system import system


async def test_a_message_in_the_dlq_fails_its_request(
    embedded_aws: RecordingAws,
) -> None:
    """The request is FAILED UNDELIVERABLE. A message of another shape stays, for an operator to read."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        url = images.image_url(1)
        request_id = await insert(running, url, age_ms=0)
        message = ImageMessage(request_id, "acme", url, revision=1)
        for body in (message.encode(), "not a message of ours"):
            await stores.sqs.send_message(QueueUrl=running.stack.dlq_url, MessageBody=body)
        assert await running.run_operator("reconcile") == 0
        assert (await row_of(stores, request_id))["failureCode"]["S"] == "UNDELIVERABLE"
        assert await stores.depth(running.stack.dlq_url) == 1


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
        await stores.sqs.send_message(
            QueueUrl=running.stack.dlq_url,
            MessageBody=ImageMessage(request_id, "acme", url, revision=1).encode(),
        )
        assert await running.run_operator("reconcile") == 0
        assert (await row_of(stores, request_id))["status"]["S"] == "COMPLETED"
        assert await stores.depth(running.stack.dlq_url) == 0
        assert await stores.notifications({notification.id}) == [notification]

"""Two workers, one request."""

import asyncio

from aiohttp import web

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.origin import numbered_png, origin
from harness.stores import Stores, stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb


async def send_copy(stores: Stores, running: System, request_id: str, url: str) -> None:
    """Send the same message again, as SQS may deliver it twice."""
    message = ImageMessage(request_id=request_id, customer_id="acme", url=url, revision=1)
    await stores.sqs.send_message(QueueUrl=running.stack.queue_url, MessageBody=message.encode())


class FetchBarrier:
    """Holds each fetch until `expected` fetches have arrived, then answers each with another body."""

    def __init__(self, expected: int) -> None:
        self._barrier = asyncio.Barrier(expected)
        self.answered = 0

    async def answer(self, _request: web.Request) -> web.Response:
        await self._barrier.wait()
        self.answered += 1
        return web.Response(body=numbered_png(self.answered), content_type="image/png")


async def test_two_consumers_with_one_message_and_a_changing_origin_make_one_image(
    embedded_aws: RecordingAws,
) -> None:
    """The first one to record its image decides; the other one adopts that record."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        barrier = FetchBarrier(expected=2)
        url = images.serve("/changing", barrier.answer)
        await running.start_server()
        request_id = await running.submit(url)
        await send_copy(stores, running, request_id, url)
        # One slot each, so that each takes one copy.
        await running.start_consumer(CONCURRENCY="1")
        await running.start_consumer(CONCURRENCY="1")
        states = await running.wait_terminal([request_id])
        await running.stop()
        assert barrier.answered == 2
        await stores.prove_each_ended_once([request_id])
        (image,) = await stores.images()
        published = states[request_id].image
        assert published.metadata.sha256 == image["metadata"]["M"]["sha256"]["S"]
        assert image["s3Url"]["S"].endswith(f"{published.metadata.sha256}.png")


class StallingOrigin:
    """Answers the first fetch with 404 after `resume`, the second with 410, and later ones with an image."""

    def __init__(self) -> None:
        self.stalled = asyncio.Event()
        self.resume = asyncio.Event()
        self._fetches = 0

    async def answer(self, _request: web.Request) -> web.Response:
        self._fetches += 1
        if self._fetches == 1:
            self.stalled.set()
            await self.resume.wait()
            return web.Response(status=404)
        if self._fetches == 2:
            return web.Response(status=410)
        return web.Response(body=numbered_png(1), content_type="image/png")


async def test_a_worker_that_stalls_while_its_request_is_retried_changes_nothing(
    embedded_aws: RecordingAws,
) -> None:
    """Its result belongs to an older revision. The retried request ends by its own fetch."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        stalling = StallingOrigin()
        url = images.serve("/stalling", stalling.answer)
        await running.start_server()
        request_id = await running.submit(url)
        await running.start_consumer()
        await stalling.stalled.wait()
        await send_copy(stores, running, request_id, url)
        await _wait_not_found(running, request_id)
        # The failed-requests message follows the state and the notification.
        await stores.until_depth(running.stack.failed_requests_queue_url, 1)
        assert await running.run_operator("retry-failed") == 0
        states = await running.wait_terminal([request_id])
        assert (states[request_id].state, states[request_id].revision) == (pb.STATE_COMPLETED, 4)
        stalling.resume.set()
        await running.stop()
        (row,) = await stores.requests()
        assert (row["status"]["S"], row["revision"]["N"]) == ("COMPLETED", "4")
        assert "failureCode" not in row
        assert "failureShard" not in row
        notifications = await stores.notifications([f"{request_id}:2", f"{request_id}:4"])
        assert {notification.id for notification in notifications} == {
            f"{request_id}:2",
            f"{request_id}:4",
        }


async def _wait_not_found(running: System, request_id: str) -> None:
    states = await running.wait_terminal([request_id])
    assert states[request_id].failure.code == pb.FAILURE_CODE_NOT_FOUND, states

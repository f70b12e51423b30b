"""Image records whose worker was paused, or whose clock or insert went wrong."""

import asyncio
import json
import signal
import uuid
from dataclasses import asdict

from aiohttp import web

from core.model.message import ImageMessage, first_message
from core.model.request import ImageRequest, new_request
from core.runtime.clock import now_ms
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, Hook, ProxiedCall, Unreachable, aws_proxy
from harness.grpc_client import expect_refusal
from harness.index_fixture import search_image_ids
from harness.lists import list_images
from harness.origin import numbered_png, origin
from harness.outcomes import image_record
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.tables import tables_of
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb


class FirstFetchIsSlow:
    """Answers the first fetch with an image after `answer`, and later ones with 404."""

    def __init__(self) -> None:
        self.fetching = asyncio.Event()
        self.answer = asyncio.Event()

    async def respond(self, _request: web.Request) -> web.Response:
        if self.fetching.is_set():
            return web.Response(status=404)
        self.fetching.set()
        await self.answer.wait()
        return web.Response(body=numbered_png(1), content_type="image/png")


async def test_a_consumer_that_was_paused_publishes_no_image_of_a_failed_request(
    embedded_aws: RecordingAws,
) -> None:
    """It is stopped beyond the visibility timeout, and another one fails the request. Then it inserts its record."""
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds="5") as running,
        stores_of(running) as stores,
    ):
        slow = FirstFetchIsSlow()
        await running.start_server(CACHED_REQUESTS="0")
        await running.start_indexer()
        request_id = await running.submit(images.serve("/slow.png", slow.respond))
        paused = await running.start_consumer(TOTAL_TIMEOUT_S="600", MIN_RATE_BYTES_S="0")
        await slow.fetching.wait()
        paused.send_signal(signal.SIGSTOP)
        await running.start_consumer()
        ended = (await running.wait_terminal([request_id]))[request_id]
        assert ended.failure.code == pb.FAILURE_CODE_NOT_FOUND
        slow.answer.set()
        paused.send_signal(signal.SIGCONT)

        async def recorded() -> bool:
            return len(await stores.images()) == 1

        await wait_for(recorded, "the record of the consumer that was paused")
        await stores.until_depth(running.stack.queue_url, 0)
        (record,) = await stores.images()
        async with running.stub() as stub:
            status = await stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
            assert status.request == ended
            get_image = pb.GetImageRequest(image_id=record["imageId"]["S"])
            refusal = await expect_refusal(stub.GetImage(get_image))
            assert refusal.reason == "IMAGE_NOT_FOUND"
            assert await list_images(stub, customer_id="acme") == []
            reindex = await running.start_reindex()
            assert await reindex.wait() == 0
            assert await search_image_ids(stub, customer_id="acme") == []


def lose_the_answer_to_the_image_insert(lost: list[bytes]) -> Hook:
    """The record is inserted, but the answer to the first try is lost."""

    async def hook(call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if call.operation == "BatchExecuteStatement" and b"provenance" in call.body and not lost:
            lost.append(call.body)
            raise Unreachable
        return answer

    return hook


async def accept(running: System, url: str, *, age_ms: int = 0) -> ImageRequest:
    """Insert the row of a request as a server does. Its clock is ahead of the consumers' if its age is negative."""
    request = new_request(
        request_id=str(uuid.uuid4()),
        customer_id="acme",
        url=url,
        labels={},
        now=now_ms() - age_ms,
    )
    async with tables_of(running.aws.environment("tests"), running.stack) as tables:
        await tables.write(tables.statements.insert_request(request))
    return request


async def send(stores: Stores, message: ImageMessage | str) -> None:
    body = message if isinstance(message, str) else message.encode()
    await stores.sqs.send_message(QueueUrl=stores.system.stack.queue_url, MessageBody=body)


async def test_a_clock_that_is_behind_makes_no_second_record(embedded_aws: RecordingAws) -> None:
    """The server's clock is 90 s ahead of the consumer's, and the answer to the consumer's insert is lost."""
    async with (
        origin() as images,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint) as running,
        stores_of(running) as stores,
    ):
        lost: list[bytes] = []
        await running.start_server()
        request = await accept(running, images.image_url(1), age_ms=-90_000)
        proxy.hook = lose_the_answer_to_the_image_insert(lost)
        await send(stores, first_message(request))
        await running.start_consumer()
        await running.wait_terminal([request.request_id])
        assert len(lost) == 1
        await stores.prove_each_ended_once([request.request_id])


async def test_the_messages_of_two_versions_share_a_queue(embedded_aws: RecordingAws) -> None:
    """Without the time of its request, a message makes the same record. An old consumer drops it when it requeues."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        requests = [await accept(running, images.image_url(number)) for number in range(4)]
        first, without, requeued, requeued_without = map(first_message, requests)
        assert first.created_at
        for message in (first, requeued.requeued()):
            await send(stores, message)
        for message in (without, requeued_without.requeued()):
            await send(stores, _of_the_previous_version(message))
        await running.start_consumer()
        await running.wait_terminal([request.request_id for request in requests])
        await stores.prove_each_ended_once([request.request_id for request in requests])
        assert await _recorded_times(stores) == {
            request.request_id: request.created_at for request in requests
        }


def _of_the_previous_version(message: ImageMessage) -> str:
    members = asdict(message)
    del members["created_at"]
    return json.dumps(members)


async def _recorded_times(stores: Stores) -> dict[str, int]:
    """Return the times of requests in the image records, by request id."""
    return {
        image["requestId"]["S"]: int(image["requestCreatedAt"]["N"])
        for image in await stores.images()
    }


async def test_a_record_of_the_previous_version_is_adopted(embedded_aws: RecordingAws) -> None:
    """Its consumer died before it ended the request, or still runs."""
    async with origin() as images, system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        requests = [await accept(running, images.image_url(number)) for number in range(2)]
        async with tables_of(running.aws.environment("tests"), running.stack) as tables:
            for request in requests:
                record = image_record(request.request_id)
                await tables.write(tables.statements.insert_image(record))
        first, repeated = map(first_message, requests)
        await send(stores, first)
        await send(stores, repeated.requeued())
        await running.start_consumer()
        await running.wait_terminal([request.request_id for request in requests])
        await stores.prove_each_ended_once([request.request_id for request in requests])
        assert images.hits == {"/n/0": 1}

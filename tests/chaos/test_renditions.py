"""Renditions when a process dies, an older version is at work, or an object is gone."""

import asyncio
import signal
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest
from aiobotocore.session import get_session
from aiohttp import web

from core.model.image import ImageRecord
from core.model.message import ImageMessage, renditions_message
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.images import gradient_image
from harness.origin import origin
from harness.renditions import by_preset, presets_file, submit
from harness.stores import stores_of
from harness.system import System, system
from harness.tables import tables_of
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb


@pytest.fixture
def file(tmp_path: Path) -> str:
    return presets_file(tmp_path)


class OneTimeImage:
    """An image that its origin sends once."""

    def __init__(self) -> None:
        self.fetched = 0

    async def serve(self, _request: web.Request) -> web.Response:
        self.fetched += 1
        if self.fetched > 1:
            return web.Response(status=404)
        return web.Response(body=gradient_image("JPEG", (400, 300)), content_type="image/jpeg")


class HeldRenditions:
    """Never answers the write of a row of renditions."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation == "UpdateItem":
            self.reached.set()
            await asyncio.Event().wait()
        return await forward()


async def test_a_worker_that_dies_before_it_records_the_renditions(
    embedded_aws: RecordingAws, file: str
) -> None:
    """The next one makes them from the stored image: the origin has none any more."""
    image, held = OneTimeImage(), HeldRenditions()
    async with (
        origin() as images,
        system(embedded_aws, VisibilityTimeoutSeconds="2") as running,
        aws_proxy(running.endpoint) as proxy,
    ):
        proxy.hook = held.hook
        await running.start_server(RENDITIONS_FILE=file)
        dying = await running.start_consumer(
            RENDITIONS_FILE=file,
            AWS_ENDPOINT_URL=proxy.endpoint,
            AWS_ENDPOINT_URL_DYNAMODB=proxy.endpoint,
        )
        request_id, both = str(uuid.uuid4()), ("thumbnail", "card")
        ending = asyncio.create_task(
            submit(running, images.serve("/once.jpg", image.serve), *both, request_id=request_id)
        )
        await held.reached.wait()
        dying.send_signal(signal.SIGKILL)
        await dying.wait()
        await running.start_consumer(RENDITIONS_FILE=file)
        ended = await ending
    assert ended.state == pb.STATE_COMPLETED
    assert ended.image.metadata.width == 400
    made = by_preset(ended.image)
    assert {name: each.width for name, each in made.items()} == {"card": 80, "thumbnail": 100}
    assert image.fetched == 1


async def test_create_renditions_when_the_object_is_gone(
    embedded_aws: RecordingAws, file: str
) -> None:
    """The rendition fails, the consumer goes on, and the queue is empty."""
    async with (
        origin({"one.jpg": gradient_image("JPEG", (400, 300))}) as images,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        await running.start_server(RENDITIONS_FILE=file)
        await running.start_consumer(RENDITIONS_FILE=file)
        ended = await submit(running, f"{images.base}/bodies/one.jpg")
        await delete_object(running, ended.image.public_url)
        call = pb.CreateRenditionsRequest(image_id=ended.image.image_id, presets=["card"])
        async with running.stub() as stub:
            assert (await stub.CreateRenditions(call, timeout=30)).pending == ["card"]
        await stores.until_depth(running.stack.queue_url, 0)
        async with running.stub() as stub:
            get_image = pb.GetImageRequest(image_id=ended.image.image_id)
            image = (await stub.GetImage(get_image, timeout=30)).image
        assert by_preset(image)["card"].failure.code == pb.FAILURE_CODE_INTERNAL
        again = await submit(running, f"{images.base}/bodies/one.jpg?again", "card")
        assert by_preset(again.image)["card"].public_url


async def delete_object(running: System, public_url: str) -> None:
    key = public_url.removeprefix(running.stack.public_base_url)
    async with get_session().create_client("s3", **running.aws.sdk()) as s3:
        await s3.delete_object(Bucket=running.stack.bucket, Key=key)


async def test_reindex_skips_the_rows_of_renditions(embedded_aws: RecordingAws, file: str) -> None:
    """It indexes each image once, and rejects none."""
    async with (
        origin({"one.jpg": gradient_image("JPEG", (400, 300))}) as images,
        system(embedded_aws) as running,
    ):
        await running.start_server(RENDITIONS_FILE=file)
        await running.start_consumer(RENDITIONS_FILE=file)
        await submit(running, f"{images.base}/bodies/one.jpg", "card")
        reindex = await running.start_reindex()
        assert reindex.stdout is not None
        out = (await reindex.stdout.read()).decode()
        assert await reindex.wait() == 0
        assert "1 images indexed, 0 rejected" in out


async def stored_record(running: System, image_id: str) -> ImageRecord:
    async with tables_of(running.aws.environment("tests"), running.stack) as tables:
        record = await tables.read_image_by_id(image_id)
    assert record is not None
    return record


async def test_a_message_of_create_renditions_returns_from_the_dlq_once(
    embedded_aws: RecordingAws, file: str
) -> None:
    """Then its renditions fail, and another call makes them. The request does not change."""
    async with (
        origin({"one.jpg": gradient_image("JPEG", (400, 300))}) as images,
        system(embedded_aws) as running,
        stores_of(running) as stores,
    ):
        await running.start_server(RENDITIONS_FILE=file)
        await running.start_consumer(RENDITIONS_FILE=file)
        ended = await submit(running, f"{images.base}/bodies/one.jpg")
        record = await stored_record(running, ended.image.image_id)

        async def reconcile(message: ImageMessage) -> None:
            dlq_url = running.stack.dlq_url
            await stores.sqs.send_message(QueueUrl=dlq_url, MessageBody=message.encode())
            assert await running.run_operator("reconcile") == 0
            assert await stores.depth(dlq_url) == 0

        async def renditions() -> Mapping[str, pb.Rendition]:
            async with running.stub() as stub:
                status = await stub.GetStatus(pb.GetStatusRequest(request_id=ended.request_id))
            return by_preset(status.request.image)

        async def is_made(name: str) -> bool:
            made = await renditions()
            return name in made and bool(made[name].public_url)

        await reconcile(renditions_message(record, ("card",)))
        await wait_for(lambda: is_made("card"), "the rendition of the message that went back")
        await reconcile(renditions_message(record, ("avatar", "card")).sent_back())
        assert await is_made("card")
        assert (await renditions())["avatar"].failure.code == pb.FAILURE_CODE_UNDELIVERABLE
        call = pb.CreateRenditionsRequest(image_id=record.image_id, presets=["avatar", "card"])
        async with running.stub() as stub:
            assert (await stub.CreateRenditions(call, timeout=30)).pending == ["avatar"]
        await wait_for(lambda: is_made("avatar"), "the rendition that failed before")

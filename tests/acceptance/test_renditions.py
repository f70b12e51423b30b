"""Renditions from a submit to the public object, with real processes."""

import hashlib
import signal
import uuid
from collections.abc import AsyncIterator
from io import BytesIO

import aiohttp
import grpc
import pytest
import pytest_asyncio
from PIL import Image

from harness.aws import RecordingAws
from harness.command import imageservice
from harness.images import gradient_image, sample
from harness.origin import origin
from harness.renditions import by_preset, presets_file, rendition_system, submit
from harness.stores import stores_of
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

BODIES = {
    "palace.jpg": sample("palace-exif-location.jpg"),
    "flower.tiff": sample("flower.tiff"),
    "small.png": gradient_image("PNG", (20, 10)),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return presets_file(tmp_path_factory.mktemp("presets"))


@pytest.fixture(scope="module")
def old_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Lacks one of the presets, and has another definition of one."""
    text = '[presets.card]\nlongest_side = 50\nformat = "JPEG"\n'
    return presets_file(tmp_path_factory.mktemp("old"), text)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(embedded_aws: RecordingAws, file: str) -> AsyncIterator[System]:
    async with rendition_system(embedded_aws, file) as started:
        yield started


@pytest.fixture
async def base() -> AsyncIterator[str]:
    async with origin(BODIES) as images:
        yield f"{images.base}/bodies"


async def fetch(url: str) -> tuple[bytes, str, str]:
    """Return body, media type and Cache-Control."""
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == 200
        headers = answer.headers
        return await answer.read(), headers["Content-Type"], headers["Cache-Control"]


async def get_image(running: System, image_id: str) -> pb.Image:
    async with running.stub() as stub:
        return (await stub.GetImage(pb.GetImageRequest(image_id=image_id), timeout=30)).image


async def test_a_completed_request_has_the_renditions_of_its_submit(
    running: System, base: str
) -> None:
    """In the answers of all reads, and as public objects that never change and carry no metadata."""
    ended = await submit(running, f"{base}/palace.jpg", "thumbnail", "card")
    made = by_preset(ended.image)
    assert {name: (each.width, each.height) for name, each in made.items()} == {
        "card": (80, 60),
        "thumbnail": (100, 67),
    }
    for rendition in made.values():
        body, media_type, cache_control = await fetch(rendition.public_url)
        assert (media_type, len(body)) == (rendition.media_type, rendition.bytes)
        assert hashlib.sha256(body).hexdigest() == rendition.sha256
        assert "immutable" in cache_control
        with Image.open(BytesIO(body)) as image:
            assert image.size == (rendition.width, rendition.height)
            assert not image.getexif()
            assert "icc_profile" not in image.info
    async with running.stub() as stub:
        status = await stub.GetStatus(pb.GetStatusRequest(request_id=ended.request_id))
        images = await stub.ListImages(pb.ListImagesRequest(customer_id="acme"))
        requests = await stub.ListRequests(pb.ListRequestsRequest(customer_id="acme"))
    assert status.request == ended
    assert ended in requests.requests
    assert ended.image in images.images
    assert await get_image(running, ended.image.image_id) == ended.image


async def test_a_malformed_row_of_renditions_hides_no_image(running: System, base: str) -> None:
    """GetStatus and GetImage answer without them."""
    ended = await submit(running, f"{base}/small.png", "card")
    image_id = ended.image.image_id
    async with stores_of(running) as stores:
        await stores.dynamodb.put_item(
            TableName=running.stack.images_table,
            Item={"imageId": {"S": f"{image_id}#renditions"}, "card": {"S": "no map"}},
        )
    async with running.stub() as stub:
        status = await stub.GetStatus(pb.GetStatusRequest(request_id=ended.request_id))
    assert status.request.image.metadata == ended.image.metadata
    assert not status.request.image.renditions
    assert not (await get_image(running, image_id)).renditions


async def test_a_format_that_browsers_do_not_display_gets_its_default_rendition(
    running: System, base: str
) -> None:
    """Without being named. An image of another format gets none."""
    tiff = await submit(running, f"{base}/flower.tiff")
    assert [each.preset for each in tiff.image.renditions] == ["thumbnail"]
    assert not (await submit(running, f"{base}/palace.jpg")).image.renditions


async def test_missing_renditions_are_added_to_a_completed_image(
    running: System, base: str
) -> None:
    """The first answer tells what is pending; the call can be repeated. The request does not change."""
    ended = await submit(running, f"{base}/palace.jpg", "card")
    image_id = ended.image.image_id
    call = pb.CreateRenditionsRequest(image_id=image_id, presets=["avatar", "card"])
    async with running.stub() as stub:
        answer = await stub.CreateRenditions(call, timeout=30)
        assert answer.pending == ["avatar"]
        assert list(answer.renditions) == list(ended.image.renditions)

        async def complete() -> bool:
            return not (await stub.CreateRenditions(call, timeout=30)).pending

        await wait_for(complete, "the rendition to be made")
        status = await stub.GetStatus(pb.GetStatusRequest(request_id=ended.request_id))
    made = by_preset(await get_image(running, image_id))
    assert made.keys() == {"avatar", "card"}
    body, media_type, _ = await fetch(made["avatar"].public_url)
    assert (media_type, Image.open(BytesIO(body)).size) == ("image/avif", (64, 64))
    assert status.request.revision == ended.revision
    assert by_preset(status.request.image) == made


async def test_notification_and_search_list_the_renditions(
    embedded_aws: RecordingAws, file: str, base: str
) -> None:
    async with rendition_system(embedded_aws, file) as running, stores_of(running) as stores:
        await running.start_indexer()
        ended = await submit(running, f"{base}/palace.jpg", "thumbnail")
        (rendition,) = ended.image.renditions
        (notice,) = await stores.notifications([f"{ended.request_id}:{ended.revision}"])
        assert notice.sent["renditions"] == [
            {
                "preset": "thumbnail",
                "publicUrl": rendition.public_url,
                "mediaType": "image/webp",
                "width": 100,
                "height": 67,
                "bytes": rendition.bytes,
                "sha256": rendition.sha256,
            }
        ]
        async with running.stub() as stub:

            async def found() -> bool:
                page = await stub.SearchImages(pb.SearchImagesRequest(customer_id="acme"))
                return list(page.images) == [ended.image]

            await wait_for(found, "the image in the search")


async def test_an_unknown_preset_is_refused_with_the_known_names(
    running: System, base: str
) -> None:
    message = pb.SubmitImageRequest(
        url=f"{base}/palace.jpg", customer_id="acme", renditions=["thumb", "card", "card"]
    )
    async with running.stub() as stub:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.SubmitImage(message, timeout=30)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        details = refused.value.details() or ""
        assert "renditions[0]: Unknown preset; known are: avatar, card, thumbnail." in details
        assert "renditions[2]" in details
        unknown = pb.CreateRenditionsRequest(image_id=str(uuid.uuid4()), presets=["card"])
        with pytest.raises(grpc.aio.AioRpcError) as missing:
            await stub.CreateRenditions(unknown, timeout=30)
        assert missing.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_rendition_that_fails_is_reported_and_fails_nothing_else(
    embedded_aws: RecordingAws, file: str, old_file: str, base: str
) -> None:
    """Here the consumer does not know one of the presets. After a repair CreateRenditions makes it."""
    async with system(embedded_aws) as running:
        await running.start_server(RENDITIONS_FILE=file)
        consumer = await running.start_consumer(RENDITIONS_FILE=old_file)
        ended = await submit(running, f"{base}/palace.jpg", "avatar", "card")
        made = by_preset(ended.image)
        assert made["card"].public_url
        assert made["avatar"].failure.code == pb.FAILURE_CODE_INTERNAL
        assert not made["avatar"].public_url
        consumer.send_signal(signal.SIGTERM)
        await consumer.wait()
        await running.start_consumer(RENDITIONS_FILE=file)
        call = pb.CreateRenditionsRequest(image_id=ended.image.image_id, presets=["avatar", "card"])
        async with running.stub() as stub:
            # The preset of the card has changed since.
            assert (await stub.CreateRenditions(call, timeout=30)).pending == ["avatar", "card"]

            async def complete() -> bool:
                return not (await stub.CreateRenditions(call, timeout=30)).pending

            await wait_for(complete, "the renditions to be made")
        image = await get_image(running, ended.image.image_id)
        assert (by_preset(image)["card"].width, by_preset(image)["avatar"].width) == (80, 64)


async def test_without_presets_nothing_reads_or_writes_renditions(
    embedded_aws: RecordingAws, base: str
) -> None:
    """Not even for a TIFF: there is no default."""
    async with system(embedded_aws) as running, stores_of(running) as stores:
        await running.start_server()
        await running.start_consumer()
        ended = await submit(running, f"{base}/flower.tiff")
        assert not ended.image.renditions
        assert [each["imageId"]["S"] for each in await stores.images()] == [ended.image.image_id]


async def test_the_commands_submit_show_and_create_renditions(running: System, base: str) -> None:
    """`submit --rendition`, then `image` and `renditions` with the id of the image."""
    url = f"{base}/palace.jpg?command"
    submitted = await imageservice(
        "submit", "--watch", "--json", "--rendition", "card", url, address=running.address
    )
    (outcome,) = submitted.objects
    (card,) = outcome["renditions"]
    assert (card["preset"], card["width"], card["height"]) == ("card", 80, 60)
    status = await imageservice("status", outcome["request_id"], address=running.address)
    line = f"card: 80x60, {card['bytes']:,} bytes → {card['public_url']}"
    assert line in status.out
    image_id = status.out.split("image ")[1].split()[0]
    created = await imageservice("renditions", image_id, "card", "avatar", address=running.address)
    assert (created.code, created.out.split()[-2:]) == (0, ["pending", "avatar"])
    assert line in created.out

    async def made() -> bool:
        shown = await imageservice("image", image_id, address=running.address)
        return "avatar: 64x64" in shown.out

    await wait_for(made, "the rendition to be made")

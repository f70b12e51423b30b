"""Requests with reuse_within: an image that was fetched recently is published again without another fetch."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest_asyncio
from aiobotocore.session import get_session
from aiohttp import web
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from harness.aws import RecordingAws
from harness.origin import Origin, numbered_png, origin, redirect_to
from harness.renditions import by_preset, presets_file, rendition_system, submit
from harness.stores import Stores, stores_of
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

DAY = Duration(seconds=86_400)
DAY_MS = 86_400_000


@dataclass(slots=True)
class Versions:
    """An image with an ETag or a date, which answers 304 to a request with its current one."""

    number: int = 1
    validator: str = "ETag"
    conditions: int = 0
    bodies: int = 0

    async def answer(self, request: web.Request) -> web.Response:
        asked = "If-None-Match" if self.validator == "ETag" else "If-Modified-Since"
        value = f'"{self.number}"' if self.validator == "ETag" else "Mon, 30 Nov 2026 06:00:00 GMT"
        self.conditions += asked in request.headers
        if request.headers.get(asked) == value:
            return web.Response(status=304)
        self.bodies += 1
        headers = {self.validator: value} if self.validator else {}
        return web.Response(
            body=numbered_png(self.number), content_type="image/png", headers=headers
        )


@dataclass(frozen=True, slots=True)
class Reusing:
    running: System
    images: Origin
    stores: Stores
    s3: Any

    def serve(self, **members: Any) -> tuple[str, Versions]:
        versions = Versions(**members)
        return self.images.serve(f"/{uuid.uuid4()}.png", versions.answer), versions

    async def submit(
        self, url: str, within: Duration | None = DAY, **fields: Any
    ) -> pb.ImageRequest:
        """Submit a URL and return its request when it has ended."""
        request_id = await self.running.submit(url, reuse_within=within, **fields)
        return (await self.running.wait_terminal([request_id]))[request_id]

    async def age(self, milliseconds: int) -> None:
        """Make every record older."""
        for row in await self.records():
            await self.stores.dynamodb.update_item(
                TableName=self.running.stack.images_table,
                Key={"imageId": row["imageId"]},
                UpdateExpression="SET fetchedAt = fetchedAt - :age",
                ExpressionAttributeValues={":age": {"N": str(milliseconds)}},
            )

    async def records(self) -> list[dict[str, Any]]:
        return [row for row in await self.stores.images() if "fetchedAt" in row]


@pytest_asyncio.fixture
async def at(embedded_aws: RecordingAws) -> AsyncIterator[Reusing]:
    async with (
        origin() as images,
        system(embedded_aws) as running,
        stores_of(running) as stores,
        get_session().create_client("s3", **embedded_aws.sdk()) as s3,
    ):
        await running.start_server()
        await running.start_consumer()
        yield Reusing(running, images, stores, s3)


async def test_a_fresh_image_is_published_without_a_fetch(at: Reusing) -> None:
    """As an image of the new request: an id of its own, the same object, metadata and provenance."""
    url, versions = at.serve()
    first, second = await at.submit(url), await at.submit(url)
    assert (versions.bodies, versions.conditions) == (1, 0)
    assert second.image.image_id != first.image.image_id
    assert second.image.request_id == second.request_id
    assert second.image.public_url == first.image.public_url
    assert second.image.metadata == first.image.metadata


async def test_an_old_image_is_asked_for_by_its_version(at: Reusing) -> None:
    """If the origin still has it, it is published again, and counts as fetched now. Otherwise the new one is."""
    for validator in ("ETag", "Last-Modified"):
        url, versions = at.serve(validator=validator)
        first = await at.submit(url)
        await at.age(2 * DAY_MS)
        second = await at.submit(url)
        assert (versions.bodies, versions.conditions) == (1, 1)
        assert second.image.public_url == first.image.public_url
        await at.submit(url)
        assert (versions.bodies, versions.conditions) == (1, 1)
    await at.age(2 * DAY_MS)
    url, versions = at.serve()
    first = await at.submit(url)
    await at.age(2 * DAY_MS)
    versions.number = 2
    changed = await at.submit(url)
    assert (versions.bodies, versions.conditions) == (2, 1)
    assert changed.image.public_url != first.image.public_url
    assert (await at.submit(url)).image.public_url == changed.image.public_url


async def test_an_old_image_without_a_version_is_fetched(at: Reusing) -> None:
    url, versions = at.serve(validator="")
    await at.submit(url)
    await at.age(2 * DAY_MS)
    await at.submit(url)
    assert (versions.bodies, versions.conditions) == (2, 0)


async def test_only_requests_that_ask_for_it_take_part(at: Reusing) -> None:
    """Others neither reuse an image nor leave one for reuse, and no customer gets another one's."""
    url, versions = at.serve()
    for within, customer, bodies in (
        (None, "acme", 1),
        (DAY, "acme", 2),
        (None, "acme", 3),
        (DAY, "globex", 4),
        (DAY, "acme", 4),
    ):
        await at.submit(url, within, customer=customer)
        assert versions.bodies == bodies
    assert versions.conditions == 0


async def test_another_url_is_fetched(at: Reusing) -> None:
    """Also one that differs only in its query or its case."""
    url, versions = at.serve()
    for text in (url, f"{url}?", f"{url}?a", url.replace("http:", "HTTP:")):
        await at.submit(text)
    assert versions.bodies == 4


async def test_an_image_that_cannot_be_published_again_is_fetched(at: Reusing) -> None:
    """Its object is gone; its request is not COMPLETED any more; its row is gone; its record is malformed."""
    url, versions = at.serve()
    first = await at.submit(url)
    key = "images/" + first.image.public_url.partition("/images/")[2]
    await at.s3.delete_object(Bucket=at.running.stack.bucket, Key=key)
    second = await at.submit(url)
    assert (versions.bodies, versions.conditions) == (2, 0)
    await at.stores.dynamodb.update_item(
        TableName=at.running.stack.requests_table,
        Key={"requestId": {"S": second.request_id}},
        UpdateExpression="SET #status = :failed REMOVE imageId",
        ExpressionAttributeNames={"#status": "status"},
        ExpressionAttributeValues={":failed": {"S": "FAILED"}},
    )
    third = await at.submit(url)
    assert versions.bodies == 3
    await at.stores.dynamodb.delete_item(
        TableName=at.running.stack.images_table, Key={"imageId": {"S": third.image.image_id}}
    )
    await at.submit(url)
    assert versions.bodies == 4
    (record,) = await at.records()
    await at.stores.dynamodb.put_item(
        TableName=at.running.stack.images_table, Item={"imageId": record["imageId"]}
    )
    await at.submit(url)
    assert versions.bodies == 5


async def test_other_rules_make_another_image(at: Reusing) -> None:
    """A consumer with another METADATA_POLICY does not publish what it would have edited differently."""
    url, versions = at.serve()
    await at.submit(url)
    consumer = at.running.processes[-1]
    consumer.send_signal(signal.SIGTERM)
    await consumer.wait()
    await at.running.start_consumer(METADATA_POLICY="strip-all")
    await at.submit(url)
    assert (versions.bodies, versions.conditions) == (2, 0)


async def test_the_version_is_asked_of_the_url_that_had_it(at: Reusing) -> None:
    """After a redirect to another URL, the old ETag means nothing."""
    first, one = at.serve()
    second, two = at.serve(number=2)
    two.number = 1
    moving = at.images.serve("/moving.png", redirect_to(first))
    await at.submit(moving)
    await at.age(2 * DAY_MS)
    await at.submit(moving)
    assert (one.bodies, one.conditions) == (1, 1)
    await at.age(2 * DAY_MS)
    at.images.serve("/moving.png", redirect_to(second))
    await at.submit(moving)
    assert (two.bodies, two.conditions) == (1, 0)


async def test_a_record_is_kept_for_thirty_days(at: Reusing) -> None:
    """DynamoDB deletes it then. It names its customer, because its key is a hash."""
    url, _ = at.serve()
    await at.submit(url)
    (record,) = await at.records()
    assert record["customerId"] == {"S": "acme"}
    days = int(record["expiresAt"]["N"]) / 86_400 - int(record["fetchedAt"]["N"]) / DAY_MS
    assert round(days, 3) == 30


async def test_renditions_of_a_reused_image_are_made_from_its_object(
    embedded_aws: RecordingAws, tmp_path: Path
) -> None:
    """Those that the new request names, and not those of the earlier one."""
    file = await asyncio.to_thread(presets_file, tmp_path)
    async with origin() as images, rendition_system(embedded_aws, file) as running:
        url = f"{images.base}/counted.png"
        versions = Versions()
        images.serve("/counted.png", versions.answer)
        await submit(running, url, "card", reuse_within=DAY)
        again = await submit(running, url, "thumbnail", reuse_within=DAY)
    assert versions.bodies == 1
    assert by_preset(again.image).keys() == {"thumbnail"}
    assert by_preset(again.image)["thumbnail"].public_url


async def test_a_reused_image_needs_no_time_for_a_fetch(at: Reusing) -> None:
    """not_after limits fetches, and there is none. An older image would need one."""
    url, versions = at.serve()
    await at.submit(url)
    past = Timestamp(seconds=1)
    assert (await at.submit(url, not_after=past)).state == pb.STATE_COMPLETED
    await at.age(2 * DAY_MS)
    late = await at.submit(url, not_after=past)
    assert late.failure.code == pb.FAILURE_CODE_EXPIRED
    assert (versions.bodies, versions.conditions) == (1, 0)

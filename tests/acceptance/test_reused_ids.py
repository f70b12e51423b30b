"""A request id that is used again after its row expired, with real processes. No customer sees another's image."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from core.model.message import ImageMessage
from harness.aws import RecordingAws
from harness.index_fixture import search_image_ids
from harness.lists import list_images, request_pages
from harness.origin import Origin, numbered_png, origin
from harness.stores import Stores, stores_of
from harness.system import System, system
from harness.waiting import wait_for
from imageservice.v1 import image_service_pb2 as pb

ACME, GLOBEX = "acme", "globex"


@dataclass(frozen=True, slots=True)
class Installation:
    running: System
    images: Origin
    stores: Stores

    async def submit(self, url: str, request_id: str, customer: str, **labels: str) -> None:
        async with self.running.stub() as stub:
            request = pb.SubmitImageRequest(
                url=url, customer_id=customer, request_id=request_id, labels=labels
            )
            await stub.SubmitImage(request, timeout=30)

    async def ended(self, request_id: str) -> pb.ImageRequest:
        return (await self.running.wait_terminal([request_id]))[request_id]

    async def expire(self, request_id: str) -> None:
        """Delete the row, as RETENTION_DAYS does later. Servers must not cache the old row."""
        await self.stores.dynamodb.delete_item(
            TableName=self.running.stack.requests_table, Key={"requestId": {"S": request_id}}
        )

    async def send(self, message: ImageMessage) -> None:
        await self.stores.sqs.send_message(
            QueueUrl=self.running.stack.queue_url, MessageBody=message.encode()
        )

    async def seen_by(self, customer: str) -> tuple[list[pb.ImageRequest], list[pb.Image]]:
        """Return the requests and images of a customer's lists."""
        async with self.running.stub() as stub:
            pages = request_pages(stub, customer_id=customer)
            requests = [request async for page in pages for request in page.requests]
            return requests, await list_images(stub, customer_id=customer)

    async def status(self, request_id: str) -> pb.ImageRequest:
        async with self.running.stub() as stub:
            call = pb.GetStatusRequest(request_id=request_id)
            return (await stub.GetStatus(call, timeout=30)).request

    async def search(self, customer: str, **fields: Any) -> list[str]:
        async with self.running.stub() as stub:
            return await search_image_ids(stub, customer_id=customer, **fields)

    async def until_found(self, customer: str, image_ids: list[str]) -> None:
        async def found_all() -> bool:
            return await self.search(customer) == image_ids

        await wait_for(found_all, "the images in the index")


@asynccontextmanager
async def installed(
    aws: RecordingAws, opensearch_url: str | None = None
) -> AsyncIterator[Installation]:
    """A system with a server; the test starts consumers and indexers."""
    async with (
        origin() as images,
        system(aws, opensearch_url=opensearch_url) as running,
        stores_of(running) as stores,
    ):
        await running.start_server(CACHED_REQUESTS="0")
        yield Installation(running, images, stores)


async def test_two_customers_with_one_id_see_only_their_own_image(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """By status, lists, images and searches, also after a reindex. Labels and host belong to the later request only."""
    request_id = str(uuid.uuid4())
    async with installed(embedded_aws, opensearch_url) as at:
        await at.running.start_consumer()
        await at.running.start_indexer()
        await at.submit(at.images.image_url(1), request_id, ACME, set="first")
        first = (await at.ended(request_id)).image
        await at.until_found(ACME, [first.image_id])
        await at.expire(request_id)
        await at.submit(at.images.image_url(2), request_id, GLOBEX, set="second")
        ended = await at.ended(request_id)
        second = ended.image
        assert (ended.state, ended.customer_id) == (pb.STATE_COMPLETED, GLOBEX)
        assert (second.customer_id, second.request_id) == (GLOBEX, request_id)
        assert second.metadata.sha256 != first.metadata.sha256
        assert await at.status(request_id) == ended
        assert await at.seen_by(GLOBEX) == ([ended], [second])
        assert await at.seen_by(ACME) == ([], [])
        async with at.running.stub() as stub:
            for image in (first, second):
                call = pb.GetImageRequest(image_id=image.image_id)
                assert (await stub.GetImage(call, timeout=30)).image == image
        await at.until_found(GLOBEX, [second.image_id])
        reindex = await at.running.start_reindex()
        assert await reindex.wait() == 0
        await at.until_found(ACME, [first.image_id])
        await at.until_found(GLOBEX, [second.image_id])
        assert await at.search(GLOBEX, labels={"set": "second"}) == [second.image_id]
        for labels in ({"set": "first"}, {"set": "second"}):
            assert await at.search(ACME, labels=labels) == []
        assert await at.search(ACME, origin_hosts=["127.0.0.1"]) == []


async def test_a_customer_who_reuses_an_id_gets_a_new_image(
    embedded_aws: RecordingAws,
) -> None:
    """The URL is fetched again, although an image of it was recorded a moment ago."""
    request_id, hits = str(uuid.uuid4()), iter(range(9))

    async def changing(_request: web.Request) -> web.Response:
        return web.Response(body=numbered_png(next(hits)), content_type="image/png")

    async with installed(embedded_aws) as at:
        await at.running.start_consumer()
        url = at.images.serve("/changing", changing)
        await at.submit(url, request_id, ACME)
        first = (await at.ended(request_id)).image
        await at.expire(request_id)
        await at.submit(url, request_id, ACME)
        ended = await at.ended(request_id)
        assert ended.state == pb.STATE_COMPLETED
        assert ended.image.metadata.sha256 != first.metadata.sha256
        assert ended.image.image_id != first.image_id
        assert await at.seen_by(ACME) == ([ended], [ended.image])
        assert next(hits) == 2


async def test_a_message_of_an_expired_request_changes_no_later_request(
    embedded_aws: RecordingAws,
) -> None:
    """The later request stays PENDING. Its own messages, requeued and repeated, complete it with its own image."""
    request_id = str(uuid.uuid4())
    async with installed(embedded_aws) as at:
        await at.submit(at.images.image_url(2), request_id, GLOBEX)
        assert len(await at.stores.receive(at.running.stack.queue_url, wait=20)) == 1
        late = ImageMessage(request_id, ACME, at.images.image_url(1), revision=1)
        await at.send(late)
        await at.running.start_consumer()
        await at.stores.until_depth(at.running.stack.queue_url, 0)
        assert at.images.hits["/n/1"] == 1
        assert (await at.status(request_id)).state == pb.STATE_PENDING
        own = ImageMessage(request_id, GLOBEX, at.images.image_url(2), revision=1, resent=True)
        await at.send(own)
        ended = await at.ended(request_id)
        await at.send(own)
        await at.stores.until_depth(at.running.stack.queue_url, 0)
        assert (ended.state, ended.image.customer_id) == (pb.STATE_COMPLETED, GLOBEX)
        assert await at.seen_by(GLOBEX) == ([ended], [ended.image])
        assert at.images.hits["/n/2"] == 1
        notices = await at.stores.notifications([f"{request_id}:2"])
        assert len(notices) >= 2
        named = {(each.sent["customerId"], each.sent["imageId"]) for each in notices}
        assert named == {(GLOBEX, ended.image.image_id)}

"""From a COMPLETED request to the index, with real processes."""

import json
import uuid
from typing import Any

from core.model.image import image_id_of
from core.search.query import Range, SearchQuery, Term
from harness.aws import RecordingAws
from harness.metrics import MetricsPort, Scrape
from harness.origin import origin
from harness.search_system import complete_images, search_system
from harness.stores import Stores
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb


def documents(page: Scrape, outcome: str) -> float:
    return page.value("indexer_documents_total", outcome=outcome) or 0


def inspections(page: Scrape) -> float:
    """Return how often the indexer has inspected whether the index is complete."""
    return page.value("search_engine_calls_total", operation="inspect", outcome="ok") or 0


async def drained(stores: Stores) -> None:
    """Wait until the queue of events is empty."""
    await stores.until_depth(stores.system.stack.search_queue_url, 0)


async def publish(stores: Stores, body: str) -> None:
    """Publish an event, as a consumer does for a COMPLETED request."""
    await stores.sns.publish(
        TopicArn=stores.system.stack.topic_arn,
        Message=body,
        MessageAttributes={"status": {"DataType": "String", "StringValue": "COMPLETED"}},
    )


async def test_completed_images_are_found_and_failed_requests_are_not(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """By labels, origin and size. The metrics count the documents."""
    port = MetricsPort()
    async with search_system(embedded_aws, opensearch_url) as (running, images, stores, index):
        await running.start_indexer(**port.settings)
        labelled = str(uuid.uuid4())
        async with running.stub() as stub:
            await stub.SubmitImage(
                pb.SubmitImageRequest(
                    url=images.image_url(1),
                    customer_id="acme",
                    request_id=labelled,
                    labels={"Season": "Frühling"},
                ),
                timeout=30,
            )
        plain, failed = (
            await complete_images(running, images, 1),
            await running.submit(f"{images.base}/none"),
        )
        await running.wait_terminal([labelled, failed])
        await index.until_found([labelled, *plain])

        async def found(**conditions: Any) -> set[str]:
            return set(await index.images(SearchQuery("acme", **conditions)))

        both = {image_id_of(each) for each in (labelled, *plain)}
        assert await found(labels=(("Season", "Frühling"),)) == {image_id_of(labelled)}
        assert await found(words=(Term("fruhling"),)) == {image_id_of(labelled)}
        assert await found(origin_hosts=("127.0.0.1",), formats=("PNG",)) == both
        assert await found(width=Range(first=10_000)) == set()
        assert await index.images(SearchQuery("another")) == []
        await drained(stores)
        page = await port.scrape()
        assert documents(page, "indexed") == 2
        assert page.value("indexer_lag_seconds_count") == 2
        assert page.value("indexer_waiting") == 0
        assert await port.get("/livez") == (200, "alive\n")


async def test_repeated_and_late_events_change_nothing(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The indexer reads the current row for each event, so an older or repeated event finds the index up to date."""
    port = MetricsPort()
    async with search_system(embedded_aws, opensearch_url) as (running, images, stores, index):
        await running.start_indexer(**port.settings)
        ids = await complete_images(running, images, 3)
        await index.until_found(ids)
        for revision in (2, 1, 2):
            for each in ids:
                await publish(stores, json.dumps({"requestId": each, "revision": revision}))
        await port.until(lambda page: documents(page, "stale") + documents(page, "indexed") > 3)
        await drained(stores)
        await index.until_found(ids)
        assert documents(await port.scrape(), "rejected") == 0


async def test_an_event_without_an_image_is_dropped(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The image does not exist, and never will."""
    port = MetricsPort()
    async with search_system(embedded_aws, opensearch_url) as (running, _, stores, index):
        await running.start_indexer(**port.settings)
        await publish(stores, json.dumps({"requestId": str(uuid.uuid4()), "revision": 2}))
        await port.until(lambda page: documents(page, "gone") == 1)
        await drained(stores)
        assert await index.images(SearchQuery("acme")) == []


async def test_an_index_that_is_created_after_images_is_incomplete(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """Until a reindex has added the images. An index that existed before the images is complete."""
    first, second, late = MetricsPort(), MetricsPort(), MetricsPort()
    async with origin() as images, system(embedded_aws, opensearch_url=opensearch_url) as running:
        await running.start_server()
        await running.start_consumer()
        await running.start_indexer(**first.settings)
        # It receives events only after it has created the index.
        received = {"operation": "sqs:ReceiveMessage", "outcome": "ok"}
        await first.until(lambda page: bool(page.value("aws_calls_total", **received)))
        await complete_images(running, images, 2)
        await first.until(lambda page: documents(page, "indexed") == 2)
        # An indexer inspects the index at its start.
        await running.start_indexer(**second.settings)
        page = await second.until(lambda page: inspections(page) > 0)
        assert page.value("search_index_incomplete") == 0
        running.search["SEARCH_INDEX"] += "-lost"
        if opensearch_url is None:
            running.search["SEARCH_URL"] += "-lost"
        await running.start_indexer(**late.settings)
        await late.until(lambda page: page.value("search_index_incomplete") == 1)
        reindex = await running.start_reindex()
        assert await reindex.wait() == 0
        await late.until(lambda page: page.value("search_index_incomplete") == 0)


async def test_a_malformed_event_and_a_malformed_row_end_in_the_dlq(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """Other images are indexed meanwhile, and no event is lost silently."""
    port = MetricsPort()
    async with search_system(
        embedded_aws, opensearch_url, VisibilityTimeoutSeconds="3", SearchMaxReceiveCount="2"
    ) as (
        running,
        images,
        stores,
        index,
    ):
        broken = str(uuid.uuid4())
        await stores.dynamodb.put_item(
            TableName=running.stack.images_table,
            Item={"imageId": {"S": image_id_of(broken)}, "metadata": {"S": "none of ours"}},
        )
        bodies = {"no json", json.dumps({"requestId": broken, "revision": 2})}
        for body in bodies:
            await publish(stores, body)
        await running.start_indexer(**port.settings)
        await index.until_found(await complete_images(running, images, 5))
        messages: set[str] = set()
        while messages != bodies:
            url = running.stack.search_dlq_url
            messages |= {message["Body"] for message in await stores.receive(url, wait=1)}
        # SQS moves a message after its visibility timeout, whether or not the indexer has counted it.
        kinds = ("malformed", "rejected")
        page = await port.until(lambda page: all(documents(page, each) >= 2 for each in kinds))
        assert [documents(page, each) for each in kinds] == [2, 2]

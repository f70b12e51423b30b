"""From a COMPLETED request to the index, with real processes."""

import json
import uuid
from typing import Any

from core.model.image import image_id_of
from core.search.query import Range, SearchQuery, Term
from harness.aws import RecordingAws
from harness.metrics import MetricsPort, Scrape
from harness.origin import origin
from harness.searched_system import completed, searched
from harness.stores import Stores
from harness.system import system
from imageservice.v1 import image_service_pb2 as pb


def documents(page: Scrape, outcome: str) -> float:
    return page.value("indexer_documents_total", outcome=outcome) or 0


def inspections(page: Scrape) -> float:
    """How often the indexer asked whether the index is whole, and was answered."""
    return page.value("search_engine_calls_total", operation="inspect", outcome="ok") or 0


async def drained(stores: Stores) -> None:
    """Wait until the indexer has nothing left to do."""
    await stores.until_depth(stores.system.stack.search_queue_url, 0)


async def publish(stores: Stores, body: str) -> None:
    """As a consumer would tell of a COMPLETED request."""
    await stores.sns.publish(
        TopicArn=stores.system.stack.topic_arn,
        Message=body,
        MessageAttributes={"status": {"DataType": "String", "StringValue": "COMPLETED"}},
    )


async def test_what_is_completed_is_found_and_what_failed_is_not(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """By its labels, its origin and its size; the metrics tell of it."""
    port = MetricsPort()
    async with searched(embedded_aws, opensearch_url) as (running, images, stores, index):
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
            await completed(running, images, 1),
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
    """An event only says where to look: an older one, and the same one again, find the index up to date."""
    port = MetricsPort()
    async with searched(embedded_aws, opensearch_url) as (running, images, stores, index):
        await running.start_indexer(**port.settings)
        ids = await completed(running, images, 3)
        await index.until_found(ids)
        for revision in (2, 1, 2):
            for each in ids:
                await publish(stores, json.dumps({"requestId": each, "revision": revision}))
        await port.until(lambda page: documents(page, "stale") + documents(page, "indexed") > 3)
        await drained(stores)
        await index.until_found(ids)
        assert documents(await port.scrape(), "rejected") == 0


async def test_an_event_of_an_image_that_no_table_has_is_dropped(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """There is nothing to be found, now or later."""
    port = MetricsPort()
    async with searched(embedded_aws, opensearch_url) as (running, _, stores, index):
        await running.start_indexer(**port.settings)
        await publish(stores, json.dumps({"requestId": str(uuid.uuid4()), "revision": 2}))
        await port.until(lambda page: documents(page, "gone") == 1)
        await drained(stores)
        assert await index.images(SearchQuery("acme")) == []


async def test_an_index_that_is_made_beside_images_says_that_it_lacks_them(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """Until a reindex has brought them in. One that was there before the images never says so."""
    first, second, late = MetricsPort(), MetricsPort(), MetricsPort()
    async with origin() as images, system(embedded_aws, opensearch_url=opensearch_url) as running:
        await running.start_server()
        await running.start_consumer()
        await running.start_indexer(**first.settings)
        # It receives once the index is made.
        received = {"operation": "sqs:ReceiveMessage", "outcome": "ok"}
        await first.until(lambda page: bool(page.value("aws_calls_total", **received)))
        await completed(running, images, 2)
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
    """Others are indexed meanwhile, and nothing vanishes silently."""
    port = MetricsPort()
    async with searched(
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
        await index.until_found(await completed(running, images, 5))
        letters: set[str] = set()
        while letters != bodies:
            url = running.stack.search_dlq_url
            letters |= {message["Body"] for message in await stores.receive(url, wait=1)}
        # A letter is moved when its time is over, whether or not the indexer has come to count it.
        kinds = ("malformed", "rejected")
        page = await port.until(lambda page: all(documents(page, each) >= 2 for each in kinds))
        assert [documents(page, each) for each in kinds] == [2, 2]

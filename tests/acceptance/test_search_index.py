"""From a COMPLETED request to the index, with real processes; and the index built anew."""

import asyncio
import json
import signal
import uuid
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.request import image_id_of
from core.search.query import Range, SearchQuery, Word
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.command import imageservice, up
from harness.index import Index, index_of
from harness.metrics import MetricsPort, Scrape
from harness.origin import Origin, origin
from harness.records import Records, records
from harness.system import System, system
from imageservice.v1 import image_service_pb2 as pb

PATIENCE_S = 60


@asynccontextmanager
async def searched(
    aws: RecordingAws, opensearch_url: str | None, **parameters: str
) -> AsyncIterator[tuple[System, Origin, Records, Index]]:
    """A system whose server and consumer run; its indexer is the test's to start."""
    async with (
        origin() as images,
        system(aws, opensearch_url=opensearch_url, **parameters) as running,
        records(running) as stores,
        index_of(running) as index,
    ):
        await running.start_server()
        at_work = MetricsPort()
        await running.start_consumer(**at_work.settings)
        await at_work.until_served()
        yield running, images, stores, index


async def completed(running: System, images: Origin, count: int, first: int = 0) -> list[str]:
    ids = [await running.submit(images.picture(first + n)) for n in range(count)]
    await running.wait_terminal(ids)
    return ids


async def scraped(port: MetricsPort, enough: Callable[[Scrape], bool]) -> Scrape:
    async with asyncio.timeout(PATIENCE_S):
        while not enough(page := await port.scrape()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return page


def documents(page: Scrape, outcome: str) -> float:
    return page.value("indexer_documents_total", outcome=outcome) or 0


async def drained(stores: Records) -> None:
    """Wait until the indexer has nothing left to do."""
    async with asyncio.timeout(PATIENCE_S):
        while await stores.depth(stores.system.stack.search_queue_url):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def publish(stores: Records, body: str) -> None:
    """As a consumer would tell of a COMPLETED request."""
    await stores.sns.publish(
        TopicArn=stores.system.stack.topic_arn,
        Message=body,
        MessageAttributes={"status": {"DataType": "String", "StringValue": "COMPLETED"}},
    )


async def ended(process: Process) -> tuple[int, str]:
    assert process.stdout is not None
    out = await process.stdout.read()
    return await process.wait(), out.decode()


class HeldScan:
    """A way to AWS on which the answer to the first Scan waits: a reindex on it stands still in its middle."""

    def __init__(self, endpoint: str) -> None:
        self.settings = {"AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL_DYNAMODB": endpoint}
        self.answered = asyncio.Event()
        self.let_go = asyncio.Event()

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        answer = await forward()
        if call.operation == "Scan":
            self.answered.set()
            await self.let_go.wait()
        return answer


@asynccontextmanager
async def held_scan(running: System) -> AsyncIterator[HeldScan]:
    async with aws_proxy(running.endpoint) as proxy:
        held = HeldScan(proxy.endpoint)
        proxy.hook = held.hook
        yield held


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
                    url=images.picture(1),
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
        assert await found(words=(Word("fruhling"),)) == {image_id_of(labelled)}
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
        await scraped(port, lambda page: documents(page, "stale") + documents(page, "indexed") > 3)
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
        await scraped(port, lambda page: documents(page, "gone") == 1)
        await drained(stores)
        assert await index.images(SearchQuery("acme")) == []


async def test_what_is_no_event_and_a_row_that_is_none_end_in_the_dead_letters(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """Others are indexed meanwhile, and nothing vanishes silently."""
    port = MetricsPort()
    async with searched(
        embedded_aws, opensearch_url, VisibilityTimeoutSeconds="1", SearchMaxReceiveCount="2"
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
        async with asyncio.timeout(PATIENCE_S):
            while letters != bodies:
                url = running.stack.search_dead_letter_queue_url
                letters |= {message["Body"] for message in await stores.receive(url, wait=1)}
        page = await port.scrape()
        assert documents(page, "malformed") == 2
        assert documents(page, "rejected") == 2


async def test_reindex_finds_what_no_event_told_of(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """As after an upgrade, or when an engine lost its data: labels and all, from the tables alone."""
    async with searched(embedded_aws, opensearch_url) as (running, images, _, index):
        ids = await completed(running, images, 30)
        assert await index.images(SearchQuery("acme")) == []
        reindex = await running.start_reindex("--segments", "3")
        assert await ended(reindex) == (0, "30 images indexed, 0 rejected\n")
        await index.until_found(ids)
        again = await running.start_reindex()
        assert await ended(again) == (0, "30 images indexed, 0 rejected\n")
        await index.until_found(ids)


async def test_reindex_while_events_flow_loses_none_of_them(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """What the indexer writes during a rebuild is in the new index, and searches find all at any time."""
    async with (
        searched(embedded_aws, opensearch_url) as (running, images, _, index),
        held_scan(running) as scan,
    ):
        await running.start_indexer()
        before = await completed(running, images, 20)
        await index.until_found(before)
        reindex = await running.start_reindex(**scan.settings)
        await scan.answered.wait()
        meanwhile = await completed(running, images, 20, first=100)
        await index.until_found([*before, *meanwhile])
        scan.let_go.set()
        seen: list[int] = []
        ending = asyncio.create_task(ended(reindex))
        while not ending.done():
            seen.append(len(await index.images(SearchQuery("acme"))))
        assert set(seen) == {40}
        assert await ending == (0, "20 images indexed, 0 rejected\n")
        await index.until_found([*before, *meanwhile])


async def test_an_image_that_cannot_be_read_is_told_and_the_others_are_indexed(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The exit status says that one is missing; the new index is in place all the same."""
    async with searched(embedded_aws, opensearch_url) as (running, images, stores, index):
        ids = await completed(running, images, 3)
        await stores.dynamodb.put_item(
            TableName=running.stack.images_table, Item={"imageId": {"S": "none of ours"}}
        )
        reindex = await running.start_reindex()
        assert await ended(reindex) == (1, "3 images indexed, 1 rejected\n")
        await index.until_found(ids)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_a_reindex_that_is_ended_leaves_the_index_as_it_was(
    embedded_aws: RecordingAws, opensearch_url: str | None, number: signal.Signals, status: int
) -> None:
    """And a later one is not in its way."""
    async with (
        searched(embedded_aws, opensearch_url) as (running, images, _, index),
        held_scan(running) as scan,
    ):
        ids = await completed(running, images, 4)
        assert (await ended(await running.start_reindex()))[0] == 0
        more = await completed(running, images, 2, first=50)
        cut_short = await running.start_reindex(**scan.settings)
        await scan.answered.wait()
        cut_short.send_signal(number)
        assert (await ended(cut_short))[0] == status
        await index.until_found(ids)
        assert (await ended(await running.start_reindex()))[0] == 0
        await index.until_found([*ids, *more])


async def test_reindex_as_a_person_runs_it(embedded_aws: RecordingAws, tmp_path: Path) -> None:
    """With the file of a running system the command needs no settings; without any it says which it lacks."""
    prefix = f"c{uuid.uuid4().hex[:10]}"
    options = ["--aws-endpoint", embedded_aws.endpoint, "--name-prefix", prefix]
    async with origin() as images, up(tmp_path, *options) as local:
        ready = await local.ready()
        pictures = [images.picture(number) for number in range(3)]
        submitted = await imageservice("submit", "--watch", *pictures, address=ready["address"])
        assert submitted.code == 0, submitted.err
        ran = await imageservice("reindex", "--ready-file", str(local.ready_file))
        assert (ran.code, ran.out) == (0, "3 images indexed, 0 rejected\n"), ran.err
        assert len(ready["metrics"]) == 3
        assert ready["pids"].keys() == {"server", "consumer", "indexer"}
    lost = await imageservice("reindex")
    assert lost.code == 2
    assert (
        "missing: REQUESTS_TABLE, IMAGES_TABLE, QUEUE_URL, PUBLIC_BASE_URL, SEARCH_URL" in lost.err
    )

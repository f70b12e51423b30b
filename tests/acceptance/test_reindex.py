"""The index built anew, with real processes."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from core.search.query import SearchQuery
from harness.aws import RecordingAws
from harness.aws_proxy import Forward, ProxiedCall, aws_proxy
from harness.processes import Process
from harness.searched_system import completed, searched
from harness.system import System


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

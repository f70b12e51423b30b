"""Rebuilding the index, with real processes."""

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
from harness.search_system import complete_images, search_system
from harness.system import System


async def ended(process: Process) -> tuple[int, str]:
    assert process.stdout is not None
    out = await process.stdout.read()
    return await process.wait(), out.decode()


class HeldScan:
    """Holds the responses to scans, so that a reindex pauses in the middle.

    The client repeats a call that is held for too long. The repetition gets the first response too.
    """

    def __init__(self, endpoint: str) -> None:
        self.settings = {"AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT_URL_DYNAMODB": endpoint}
        self.answered = asyncio.Event()
        self.released = asyncio.Event()
        self._first: dict[bytes, web.Response] = {}

    async def hook(self, call: ProxiedCall, forward: Forward) -> web.Response:
        if call.operation != "Scan":
            return await forward()
        if call.body not in self._first:
            self._first.setdefault(call.body, await forward())
        self.answered.set()
        await self.released.wait()
        first = self._first[call.body]
        return web.Response(body=first.body, status=first.status, headers=first.headers)


@asynccontextmanager
async def held_scan(running: System) -> AsyncIterator[HeldScan]:
    async with aws_proxy(running.endpoint) as proxy:
        held = HeldScan(proxy.endpoint)
        proxy.hook = held.hook
        yield held


async def test_reindex_adds_images_without_events(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """As after an upgrade, or when an engine lost its data: the tables have everything, including labels."""
    async with search_system(embedded_aws, opensearch_url) as (running, images, _, index):
        ids = await complete_images(running, images, 30)
        assert await index.images(SearchQuery("acme")) == []
        reindex = await running.start_reindex("--segments", "3")
        assert await ended(reindex) == (0, "30 images indexed, 0 rejected\n")
        await index.until_found(ids)
        again = await running.start_reindex()
        assert await ended(again) == (0, "30 images indexed, 0 rejected\n")
        await index.until_found(ids)


async def test_reindex_loses_no_event_that_arrives_meanwhile(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """Images that the indexer writes during a rebuild are in the new index, and searches always find all images."""
    async with (
        search_system(embedded_aws, opensearch_url) as (running, images, _, index),
        held_scan(running) as scan,
    ):
        await running.start_indexer()
        before = await complete_images(running, images, 20)
        await index.until_found(before)
        reindex = await running.start_reindex(**scan.settings)
        await scan.answered.wait()
        meanwhile = await complete_images(running, images, 20, first=100)
        await index.until_found([*before, *meanwhile])
        scan.released.set()
        seen: list[int] = []
        ending = asyncio.create_task(ended(reindex))
        while not ending.done():
            seen.append(len(await index.images(SearchQuery("acme"))))
        assert set(seen) == {40}
        assert await ending == (0, "20 images indexed, 0 rejected\n")
        await index.until_found([*before, *meanwhile])


async def test_a_malformed_row_is_reported_and_the_other_images_are_indexed(
    embedded_aws: RecordingAws, opensearch_url: str | None
) -> None:
    """The exit code reports the missing image. The new index is in use."""
    async with search_system(embedded_aws, opensearch_url) as (running, images, stores, index):
        ids = await complete_images(running, images, 3)
        await stores.dynamodb.put_item(
            TableName=running.stack.images_table, Item={"imageId": {"S": "none of ours"}}
        )
        reindex = await running.start_reindex()
        assert await ended(reindex) == (1, "3 images indexed, 1 rejected\n")
        await index.until_found(ids)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_an_interrupted_reindex_leaves_the_index_unchanged(
    embedded_aws: RecordingAws, opensearch_url: str | None, number: signal.Signals, status: int
) -> None:
    """A later reindex succeeds."""
    async with (
        search_system(embedded_aws, opensearch_url) as (running, images, _, index),
        held_scan(running) as scan,
    ):
        ids = await complete_images(running, images, 4)
        assert (await ended(await running.start_reindex()))[0] == 0
        more = await complete_images(running, images, 2, first=50)
        interrupted = await running.start_reindex(**scan.settings)
        await scan.answered.wait()
        interrupted.send_signal(number)
        assert (await ended(interrupted))[0] == status
        await index.until_found(ids)
        assert (await ended(await running.start_reindex()))[0] == 0
        await index.until_found([*ids, *more])

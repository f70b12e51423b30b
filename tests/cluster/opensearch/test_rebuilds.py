"""Rebuilds under load, during an outage, after a kill, and two at the same time."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from pathlib import Path

import pytest

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import SearchWriter, WriteStatus
from core.search.opensearch.rebuild import OpenSearchRebuild
from core.search.query import SearchQuery
from harness.aws import ROOT
from harness.opensearch import OpenSearchServer, indexes, raw
from harness.search_documents import ACME, document
from harness.search_engines import Engine, open_engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD = 300
CALLERS = 4
SWAPS = 3


async def write_all(writer: SearchWriter, *images: SearchDocument) -> None:
    """Write like an indexer: retry until all documents are indexed."""
    remaining = list(images)
    while remaining:
        written = await writer.write(remaining)
        assert {each.status for each in written} <= {
            WriteStatus.INDEXED,
            WriteStatus.UNAVAILABLE,
        }, written
        pairs = zip(remaining, written, strict=True)
        remaining = [each for each, result in pairs if result.status is WriteStatus.UNAVAILABLE]


async def test_searches_and_writes_continue_during_rebuilds(
    server: OpenSearchServer, index: Engine
) -> None:
    """Over several swaps no search fails or returns fewer images, and no write is lost."""
    old = [document() for _ in range(OLD)]
    await index.put(*old)
    over = asyncio.Event()
    totals: list[int] = []
    tables: list[SearchDocument] = []

    async def search() -> None:
        while not over.is_set():
            result = await index.search(SearchQuery(ACME), limit=1)
            totals.append(result.total)

    async def write() -> None:
        while not over.is_set():
            image = document(customer_id="others")
            tables.append(image)
            await write_all(index.writer, image)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(search())
            group.create_task(write())
        for _ in range(SWAPS):
            async with index.writer.rebuild() as rebuild:
                await rebuild.write([*old, *tables])
                await rebuild.finish()
        over.set()
    assert set(totals) == {OLD}
    await index.writer.refresh()
    result = await index.search(SearchQuery("others"), limit=1)
    assert result.total == len(tables)
    assert len(await indexes(server.url, index.settings.search_index)) == 1


async def test_a_late_write_to_the_old_index_is_refused(
    server: OpenSearchServer, index: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer may have resolved the alias before the swap. An accepted write would be deleted with the old index."""
    (old,) = await indexes(server.url, index.settings.search_index)
    statuses: list[int] = []

    async def late(rebuild: OpenSearchRebuild, closed: Sequence[str]) -> None:
        assert closed == [old]
        async with raw(server.url) as client:
            body = [{"index": {"_id": "late"}}, {"customer_id": ACME}]
            answer = await client.bulk(index=old, body=body)
        statuses.extend(item["index"]["status"] for item in answer["items"])

    monkeypatch.setattr(OpenSearchRebuild, "_wait_for_readers", late)
    async with index.writer.rebuild() as rebuild:
        await rebuild.finish()
    assert statuses == [403]


async def test_the_next_rebuild_deletes_the_index_of_a_killed_one(
    server: OpenSearchServer, index: Engine
) -> None:
    """Until then the index in use is unchanged. Afterwards there is one index, without documents of the killed one."""
    alias, image = index.settings.search_index, document()
    await index.put(image)
    await kill_rebuild(server.url, alias)
    assert len(await indexes(server.url, alias)) == 2
    assert await index.ids() == [image.image_id]
    async with index.writer.rebuild() as rebuild:
        await rebuild.write([image])
        await rebuild.finish()
    assert list((await indexes(server.url, alias)).values()) == [[alias]]
    assert await index.ids() == [image.image_id]


async def kill_rebuild(url: str, alias: str) -> None:
    """Start a rebuild in another process and kill it with SIGKILL."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).parent / "killed_rebuild.py"), url, alias),
        env={**os.environ, "PYTHONPATH": path},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"building\n"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_of_two_rebuilds_the_first_to_finish_wins(
    server: OpenSearchServer, index: Engine
) -> None:
    """The other one fails and deletes nothing. Otherwise an incomplete index would be in use."""
    images = [document() for _ in range(6)]
    await index.put(*images)
    async with open_engine(index.settings) as other, other.writer.rebuild() as late:
        await late.write(images[:3])
        async with index.writer.rebuild() as rebuild:
            await rebuild.write(images)
            await rebuild.finish()
        assert {each.status for each in await late.write(images[3:])} == {WriteStatus.UNAVAILABLE}
        with pytest.raises(SearchUnavailable):
            await late.finish()
    assert len(await index.ids()) == 6
    assert len(await indexes(server.url, index.settings.search_index)) == 1


async def test_after_an_outage_during_a_rebuild_the_old_index_is_in_use(
    server: OpenSearchServer, index: Engine
) -> None:
    """The rebuild gets the error and could continue after the outage; here it does not."""
    image = document()
    await index.put(image)

    async def rebuild_during_outage() -> None:
        async with index.writer.rebuild() as rebuild:
            await rebuild.write([document()])
            await server.kill()
            with pytest.raises(SearchUnavailable):
                await rebuild.write([document()])
            await rebuild.finish()

    with pytest.raises(SearchUnavailable):
        await rebuild_during_outage()
    await server.start()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await index.ids() == [image.image_id]
                break
            except SearchUnavailable:
                await asyncio.sleep(0.05)


async def test_a_rebuild_continues_after_an_outage(server: OpenSearchServer, index: Engine) -> None:
    """Its previous writes and the writes of others are in the new index."""
    ours, theirs, last = document(), document(), document()
    async with index.writer.rebuild() as rebuild:
        await rebuild.write([ours])
        await write_all(index.writer, theirs)
        await server.kill()
        await server.start()
        async with asyncio.timeout(60):
            while True:
                try:
                    (written,) = await rebuild.write([last])
                except SearchUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    if written.status is WriteStatus.INDEXED:
                        break
        await rebuild.finish()
    assert await index.ids() == [last.image_id, theirs.image_id, ours.image_id]


async def test_a_document_that_cannot_be_copied_stops_the_rebuild(
    server: OpenSearchServer, index: Engine
) -> None:
    """No write is lost silently: the old index stays in use, and the new one is deleted."""
    alias, image = index.settings.search_index, document()
    await index.put(image)

    async def rebuild() -> None:
        async with index.writer.rebuild() as running:
            async with raw(server.url) as client:
                await client.indices.put_mapping(
                    index=alias, body={"properties": {"theirs": {"type": "keyword"}}}
                )
                await client.index(
                    index=alias,
                    id="theirs",
                    body={"customer_id": ACME, "theirs": "x", "created_at": 0, "image_id": "t"},
                    params={"version": 1, "version_type": "external_gte"},
                )
            await running.finish()

    with pytest.raises(SearchUnavailable, match="cannot be copied: strict_dynamic_mapping"):
        await rebuild()
    assert await index.ids() == [image.image_id, "t"]
    assert list((await indexes(server.url, alias)).values()) == [[alias]]


async def test_more_changes_than_one_page_are_copied(index: Engine) -> None:
    """All writes during a long rebuild are copied."""
    images = [document() for _ in range(2_500)]
    async with index.writer.rebuild() as rebuild:
        await index.put(*images)
        await rebuild.finish()
    assert (await index.search(SearchQuery(ACME), limit=1)).total == len(images)

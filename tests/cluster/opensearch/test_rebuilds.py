"""Rebuilds while all goes on: under load, in an outage, killed, and two at once."""

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
from harness.search_engines import Engine, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

OLD = 300
CALLERS = 4
SWAPS = 3


async def keep(writer: SearchWriter, *images: SearchDocument) -> None:
    """As an indexer does: again, until all are taken."""
    waiting = list(images)
    while waiting:
        written = await writer.write(waiting)
        assert {each.status for each in written} <= {
            WriteStatus.INDEXED,
            WriteStatus.UNAVAILABLE,
        }, written
        pairs = zip(waiting, written, strict=True)
        waiting = [each for each, to in pairs if to.status is WriteStatus.UNAVAILABLE]


async def test_searches_and_writes_go_on(server: OpenSearchServer, index: Engine) -> None:
    """No search fails or sees less than was there, over several swaps; no write is missing after them."""
    old = [document() for _ in range(OLD)]
    await index.put(*old)
    over = asyncio.Event()
    seen: list[int] = []
    tables: list[SearchDocument] = []

    async def search() -> None:
        while not over.is_set():
            found = await index.ask(SearchQuery(ACME), limit=1)
            seen.append(found.total)

    async def write() -> None:
        while not over.is_set():
            image = document(customer_id="others")
            tables.append(image)
            await keep(index.writer, image)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(search())
            group.create_task(write())
        for _ in range(SWAPS):
            async with index.writer.rebuild() as rebuild:
                await rebuild.write([*old, *tables])
                await rebuild.finish()
        over.set()
    assert set(seen) == {OLD}
    await index.writer.refresh()
    found = await index.ask(SearchQuery("others"), limit=1)
    assert found.total == len(tables)
    assert len(await indexes(server.url, index.settings.search_index)) == 1


async def test_a_write_that_comes_too_late_for_the_old_index_is_refused(
    server: OpenSearchServer, index: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whoever found the way to it before the swap: taken, it would go with the index, and nobody would know."""
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


async def test_what_a_killed_rebuild_left_goes_with_the_next(
    server: OpenSearchServer, index: Engine
) -> None:
    """Until then the index that is read stays as it is; afterwards there is one index, and nothing of the killed."""
    alias, image = index.settings.search_index, document()
    await index.put(image)
    await killed(server.url, alias)
    assert len(await indexes(server.url, alias)) == 2
    assert await index.ids() == [image.image_id]
    async with index.writer.rebuild() as rebuild:
        await rebuild.write([image])
        await rebuild.finish()
    assert list((await indexes(server.url, alias)).values()) == [[alias]]
    assert await index.ids() == [image.image_id]


async def killed(url: str, alias: str) -> None:
    """Begin a rebuild in a process of its own, and kill it like kill -9."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(Path(__file__).parent / "abandoned.py"), url, alias),
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


async def test_of_two_rebuilds_the_first_to_end_is_right(
    server: OpenSearchServer, index: Engine
) -> None:
    """The other one fails, and takes nothing away: half of an index would be read otherwise."""
    images = [document() for _ in range(6)]
    await index.put(*images)
    async with opened(index.settings) as other, other.writer.rebuild() as late:
        await late.write(images[:3])
        async with index.writer.rebuild() as rebuild:
            await rebuild.write(images)
            await rebuild.finish()
        assert {each.status for each in await late.write(images[3:])} == {WriteStatus.UNAVAILABLE}
        with pytest.raises(SearchUnavailable):
            await late.finish()
    assert len(await index.ids()) == 6
    assert len(await indexes(server.url, index.settings.search_index)) == 1


async def test_an_outage_in_the_middle_leaves_the_old_index(
    server: OpenSearchServer, index: Engine
) -> None:
    """The rebuild hears it, and may go on when the engine is back; here it gives up."""
    image = document()
    await index.put(image)

    async def broken() -> None:
        async with index.writer.rebuild() as rebuild:
            await rebuild.write([document()])
            await server.kill()
            with pytest.raises(SearchUnavailable):
                await rebuild.write([document()])
            await rebuild.finish()

    with pytest.raises(SearchUnavailable):
        await broken()
    await server.start()
    async with asyncio.timeout(60):
        while True:
            try:
                assert await index.ids() == [image.image_id]
                break
            except SearchUnavailable:
                await asyncio.sleep(0.05)


async def test_a_rebuild_outlives_an_outage(server: OpenSearchServer, index: Engine) -> None:
    """What it had written is there when the engine is back, and so is what others wrote."""
    ours, theirs, last = document(), document(), document()
    async with index.writer.rebuild() as rebuild:
        await rebuild.write([ours])
        await keep(index.writer, theirs)
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
    """Nothing that was written is lost without a word: the old index stays, and the new one goes."""
    alias, image = index.settings.search_index, document()
    await index.put(image)

    async def stopped() -> None:
        async with index.writer.rebuild() as rebuild:
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
            await rebuild.finish()

    with pytest.raises(SearchUnavailable, match="cannot be copied: strict_dynamic_mapping"):
        await stopped()
    assert await index.ids() == [image.image_id, "t"]
    assert list((await indexes(server.url, alias)).values()) == [[alias]]


async def test_more_is_copied_than_a_page_holds(index: Engine) -> None:
    """Whatever was written while a long rebuild went on."""
    images = [document() for _ in range(2_500)]
    async with index.writer.rebuild() as rebuild:
        await index.put(*images)
        await rebuild.finish()
    assert (await index.ask(SearchQuery(ACME), limit=1)).total == len(images)

"""Writes to OpenSearch item by item, and the preparation of the index."""

import asyncio
import uuid
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from core.errors import SearchUnavailable
from core.search.engine import WriteStatus, open_writer
from core.search.opensearch.bulk import MAX_CALL_BYTES
from core.search.settings import SearchSettings
from harness.opensearch import OpenSearchServer, indexes, raw
from harness.search_documents import document
from harness.search_engines import Engine, open_engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONGEST_TERM = 32_766


async def test_a_rejected_document_does_not_affect_the_others(index: Engine) -> None:
    """Each document gets its own status in the given order: indexed, stale, or rejected with the engine's reason."""
    newer = document(revision=4)
    await index.put(newer)
    good, last = document(), document()
    batch = [
        good,
        document(camera="x" * (LONGEST_TERM + 1)),
        replace(newer, revision=2),
        document(width=2**63),
        document(image_id=""),
        document(image_id="é" * 257),
        document(camera="\ud800"),
        last,
    ]
    written = await index.writer.write(batch)
    assert [each.status for each in written] == [
        WriteStatus.INDEXED,
        WriteStatus.REJECTED,
        WriteStatus.STALE,
        *[WriteStatus.REJECTED] * 4,
        WriteStatus.INDEXED,
    ]
    assert "immense term" in written[1].reason
    assert "width" in written[3].reason
    assert all(each.reason for each in written if each.status is WriteStatus.REJECTED)
    await index.writer.refresh()
    assert await index.ids() == [last.image_id, good.image_id, newer.image_id]


async def test_a_large_batch_is_written_in_several_calls(index: Engine) -> None:
    """No document of it is lost."""
    long = {f"label {number}": "x" * 20_000 for number in range(20)}
    batch = [document(labels=long) for _ in range(3 * MAX_CALL_BYTES // 400_000)]
    await index.put(*batch)
    assert set(await index.ids()) == {each.image_id for each in batch}


async def test_a_written_document_is_found_without_a_refresh(index: Engine) -> None:
    """Also in an index that was not searched for a while, and in an index that a rebuild created."""
    async with asyncio.timeout(60):
        for _ in range(2):
            image = document()
            await index.writer.write([image])
            while image.image_id not in await index.ids():  # noqa: ASYNC110  the engine does it
                await asyncio.sleep(0.05)
            async with index.writer.rebuild() as rebuild:
                await rebuild.finish()


async def test_concurrent_prepare_creates_one_index(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """All indexers of an installation may start at the same time."""
    async with AsyncExitStack() as stack:
        writers = [open_writer(settings) for _ in range(12)]
        for writer in writers:
            stack.push_async_callback(writer.close)
        await asyncio.gather(*(writer.prepare() for writer in writers))
        (aliases,) = (await indexes(server.url, settings.search_index)).values()
        assert aliases == [settings.search_index]
        written = await asyncio.gather(*(writer.write([document()]) for writer in writers))
        assert {each.status for (each,) in written} == {WriteStatus.INDEXED}


async def test_prepare_refuses_an_index_of_another_version(
    server: OpenSearchServer, index: Engine
) -> None:
    """Its mapping may have other fields. A rebuild creates an index of the right version."""
    alias = index.settings.search_index
    await index.put(document())
    async with raw(server.url) as client:
        await client.indices.put_mapping(index=alias, body={"_meta": {"version": 0}})
    with pytest.raises(SearchUnavailable, match="has version 0, and this program needs 1: reindex"):
        await index.writer.prepare()
    async with index.writer.rebuild() as rebuild:
        await rebuild.finish()
    await index.writer.prepare()


async def test_prepare_refuses_an_alias_without_a_write_index(
    server: OpenSearchServer, index: Engine
) -> None:
    """An operator may have pointed it to several indexes. No document is rejected, and a rebuild repairs the alias."""
    alias = index.settings.search_index
    image = document()
    await index.put(image)
    async with raw(server.url) as client:
        (ours,) = await indexes(server.url, alias)
        await client.indices.create(index=f"{alias}_theirs")
        for is_write_index in (None, False):
            for name in (ours, f"{alias}_theirs"):
                body = {} if is_write_index is None else {"is_write_index": is_write_index}
                await client.indices.put_alias(index=name, name=alias, body=body)
            with pytest.raises(SearchUnavailable, match=r"none of the indexes .* reindex makes"):
                await index.writer.prepare()
            (written,) = await index.writer.write([document()])
            assert written.status is WriteStatus.UNAVAILABLE
        await client.indices.put_alias(index=ours, name=alias, body={"is_write_index": True})
        await index.writer.prepare()
        await client.indices.put_alias(index=ours, name=alias, body={"is_write_index": False})
    async with index.writer.rebuild() as rebuild:
        await rebuild.write([image])
        await rebuild.finish()
    await index.writer.prepare()
    assert await index.ids() == [image.image_id]


async def test_creating_an_empty_index_is_logged_if_images_exist(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """Searches would find nothing, so the log names the command to run. Without images nothing is logged."""
    exist = False

    async def images_exist() -> bool:
        return exist

    writer = open_writer(settings, images_exist)
    with capture_logs() as logs:
        await writer.prepare()
        await writer.prepare()
        assert logs == []
        assert not await writer.incomplete()
        exist = True
        async with raw(server.url) as client:
            await client.indices.delete(index=f"{settings.search_index}_*")
        await writer.prepare()
        await writer.prepare()
    (line,) = logs
    assert line["log_level"] == "warning"
    assert "`imageservice reindex`" in line["event"]
    assert [line["index"]] == list(await indexes(server.url, settings.search_index))
    assert await writer.incomplete()
    await writer.close()


async def test_an_incomplete_index_has_the_full_mapping(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """The mark `incomplete` does not replace the mapping of the template."""

    async def images_exist() -> bool:
        return True

    writer = open_writer(settings, images_exist)
    await writer.prepare()
    async with open_engine(settings) as index:
        image = document(camera="Canon")
        await index.put(image)
        assert await index.ids(cameras=("Canon",)) == [image.image_id]
    async with raw(server.url) as client:
        (created,) = (await client.indices.get_mapping(index=settings.search_index)).values()
    assert created["mappings"]["dynamic"] == "strict"
    assert created["mappings"]["_meta"] == {"version": 1, "incomplete": True}
    await writer.close()


async def test_the_index_is_incomplete_until_the_first_rebuild_has_finished(
    settings: SearchSettings,
) -> None:
    """The rebuild first creates an index for concurrent writes. If the rebuild is killed, that index stays in use
    and lacks the older images."""

    async def images_exist() -> bool:
        return True

    writer = open_writer(settings, images_exist)
    async with writer.rebuild() as rebuild:
        assert await writer.incomplete()
        await rebuild.finish()
    assert not await writer.incomplete()
    await writer.close()


async def test_prepare_refuses_an_index_with_the_name_of_the_alias(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """Another program may have written to that name before. Its data is not deleted."""
    async with raw(server.url) as client:
        await client.index(index=settings.search_index, body={"theirs": 1})
        writer = open_writer(settings)
        with pytest.raises(SearchUnavailable, match="exists with the same name as the alias"):
            await writer.prepare()
        assert await client.indices.exists(index=settings.search_index)
    await writer.close()


async def test_aliases_with_a_common_prefix_are_independent(index: Engine) -> None:
    """Several installations share an engine. A rebuild of one does not affect another."""
    longer = index.settings.model_copy(
        update={"search_index": f"{index.settings.search_index}-{uuid.uuid4().hex[:8]}"}
    )
    async with open_engine(longer) as other:
        ours, theirs = document(), document()
        await index.put(ours)
        await other.put(theirs)
        for engine, image in ((index, ours), (other, theirs)):
            async with engine.writer.rebuild() as rebuild:
                await rebuild.write([image])
                await rebuild.finish()
        assert await index.ids() == [ours.image_id]
        assert await other.ids() == [theirs.image_id]

"""What OpenSearch is told, item by item, and the index that it is told to."""

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
from harness.search_engines import Engine, opened

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONGEST_TERM = 32_766


async def test_a_document_that_is_refused_spoils_no_other(index: Engine) -> None:
    """Each is told what became of it, in the order given: taken, known already, or refused with the engine's words."""
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


async def test_more_than_a_call_may_hold_is_written_in_several(index: Engine) -> None:
    """Of a batch without bounds nothing is lost or mixed up."""
    long = {f"label {number}": "x" * 20_000 for number in range(20)}
    batch = [document(labels=long) for _ in range(3 * MAX_CALL_BYTES // 400_000)]
    await index.put(*batch)
    assert set(await index.ids()) == {each.image_id for each in batch}


async def test_what_is_written_is_found_within_moments(index: Engine) -> None:
    """Also where nobody searched for long, and in an index that a rebuild made: nobody has to ask for it."""
    async with asyncio.timeout(60):
        for _ in range(2):
            image = document()
            await index.writer.write([image])
            while image.image_id not in await index.ids():  # noqa: ASYNC110  the engine does it
                await asyncio.sleep(0.05)
            async with index.writer.rebuild() as rebuild:
                await rebuild.finish()


async def test_many_prepare_at_once(server: OpenSearchServer, settings: SearchSettings) -> None:
    """All indexers of an installation may start at the same moment: there is one index, and it is usable."""
    async with AsyncExitStack() as stack:
        writers = [open_writer(settings) for _ in range(12)]
        for writer in writers:
            stack.push_async_callback(writer.close)
        await asyncio.gather(*(writer.prepare() for writer in writers))
        (aliases,) = (await indexes(server.url, settings.search_index)).values()
        assert aliases == [settings.search_index]
        written = await asyncio.gather(*(writer.write([document()]) for writer in writers))
        assert {each.status for (each,) in written} == {WriteStatus.INDEXED}


async def test_an_index_of_another_version_is_not_written_to(
    server: OpenSearchServer, index: Engine
) -> None:
    """Its mapping may know other fields; a rebuild makes one that is right."""
    alias = index.settings.search_index
    await index.put(document())
    async with raw(server.url) as client:
        await client.indices.put_mapping(index=alias, body={"_meta": {"version": 0}})
    with pytest.raises(SearchUnavailable, match="has version 0, and this program needs 1: reindex"):
        await index.writer.prepare()
    async with index.writer.rebuild() as rebuild:
        await rebuild.finish()
    await index.writer.prepare()


async def test_an_alias_without_a_write_index_is_told_of(
    server: OpenSearchServer, index: Engine
) -> None:
    """Somebody has put it before several: nobody begins to write, no document is at fault, and a rebuild mends it."""
    alias = index.settings.search_index
    image = document()
    await index.put(image)
    async with raw(server.url) as client:
        (ours,) = await indexes(server.url, alias)
        await client.indices.create(index=f"{alias}_theirs")
        for said in (None, False):
            for name in (ours, f"{alias}_theirs"):
                body = {} if said is None else {"is_write_index": said}
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


async def test_an_empty_index_is_not_made_without_a_word(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """Beside images nobody would know why nothing is found: the log says what to do. Where none are, all is well."""
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
    (told,) = logs
    assert told["log_level"] == "warning"
    assert "`imageservice reindex`" in told["event"]
    assert [told["index"]] == list(await indexes(server.url, settings.search_index))
    assert await writer.incomplete()
    await writer.close()


async def test_an_incomplete_index_is_as_good_as_another(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """Its mark takes nothing of the template's away: what is new is refused or found as ever."""

    async def images_exist() -> bool:
        return True

    writer = open_writer(settings, images_exist)
    await writer.prepare()
    async with opened(settings) as index:
        image = document(camera="Canon")
        await index.put(image)
        assert await index.ids(cameras=("Canon",)) == [image.image_id]
    async with raw(server.url) as client:
        (made,) = (await client.indices.get_mapping(index=settings.search_index)).values()
    assert made["mappings"]["dynamic"] == "strict"
    assert made["mappings"]["_meta"] == {"version": 1, "incomplete": True}
    await writer.close()


async def test_until_a_first_rebuild_has_ended_the_index_is_incomplete(
    settings: SearchSettings,
) -> None:
    """It makes one for those who write meanwhile, which stays where the rebuild is killed, and lacks all the rest."""

    async def images_exist() -> bool:
        return True

    writer = open_writer(settings, images_exist)
    async with writer.rebuild() as rebuild:
        assert await writer.incomplete()
        await rebuild.finish()
    assert not await writer.incomplete()
    await writer.close()


async def test_an_index_that_has_the_aliass_name_is_told_of(
    server: OpenSearchServer, settings: SearchSettings
) -> None:
    """Somebody wrote there before anything was prepared; nothing of theirs is taken away."""
    async with raw(server.url) as client:
        await client.index(index=settings.search_index, body={"theirs": 1})
        writer = open_writer(settings)
        with pytest.raises(SearchUnavailable, match="exists with the same name as the alias"):
            await writer.prepare()
        assert await client.indices.exists(index=settings.search_index)
    await writer.close()


async def test_an_alias_that_begins_like_another_is_another(index: Engine) -> None:
    """Several installations share an engine: what one rebuilds takes nothing from another."""
    longer = index.settings.model_copy(
        update={"search_index": f"{index.settings.search_index}-{uuid.uuid4().hex[:8]}"}
    )
    async with opened(longer) as other:
        ours, theirs = document(), document()
        await index.put(ours)
        await other.put(theirs)
        for engine, image in ((index, ours), (other, theirs)):
            async with engine.writer.rebuild() as rebuild:
                await rebuild.write([image])
                await rebuild.finish()
        assert await index.ids() == [ours.image_id]
        assert await other.ids() == [theirs.image_id]

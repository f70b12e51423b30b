"""Every engine keeps the highest revision of an image, in any order of writes. Rebuilds do not stop searches."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.model.color import Color
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.query import Range, SearchQuery, Similar
from harness.search_documents import ACME, document, terms
from harness.search_engines import Engine, open_engine

HASH = "0123456789abcdef"


class AbandonedError(Exception):
    """Ends a rebuild early."""


def statuses(results: tuple[WriteResult, ...]) -> list[WriteStatus]:
    return [each.status for each in results]


def versions(*revisions: int) -> list[SearchDocument]:
    """Return a document of one image for each revision. The camera contains the revision."""
    first = document()
    return [replace(first, revision=each, camera=f"camera {each}") for each in revisions]


async def cameras(engine: Engine) -> list[str]:
    found = await engine.search(SearchQuery(ACME), facets=True)
    return [value.value for value in found.facets[2].values]


async def test_an_empty_batch_is_allowed(engine: Engine) -> None:
    """Its result is empty."""
    assert await engine.writer.write([]) == ()
    assert await engine.ids() == []


async def test_a_document_may_be_written_again(engine: Engine) -> None:
    """Writes are idempotent: an event that is delivered twice changes nothing."""
    (image,) = versions(2)
    await engine.put(image)
    await engine.put(image)
    assert await engine.ids() == [image.image_id]


async def test_an_older_document_is_stale(engine: Engine) -> None:
    """Events may arrive out of order."""
    old, new = versions(2, 4)
    await engine.put(new)
    assert statuses(await engine.writer.write([old])) == [WriteStatus.STALE]
    await engine.writer.refresh()
    assert await cameras(engine) == ["camera 4"]
    assert await engine.ids(words=terms("2")) == []


async def test_a_newer_document_replaces_the_older_one(engine: Engine) -> None:
    """No value of the older document is found any more."""
    old = document(
        format="GIF",
        color=Color.RED,
        camera="Canon",
        labels={"order": "7", "old": "x"},
        perceptual_hash=HASH,
    )
    new = replace(
        old,
        revision=4,
        format="PNG",
        color=Color.BLUE,
        camera="Nikon",
        labels={"order": "8", "new": "x"},
        perceptual_hash="fedcba9876543210",
    )
    await engine.put(old)
    await engine.put(new)
    new_values: dict[str, Any] = {
        "words": terms("nikon 8"),
        "labels": (("new", "x"),),
        "formats": ("PNG",),
    }
    for condition, value in new_values.items():
        assert await engine.ids(**{condition: value}) == [new.image_id], condition
    old_values: dict[str, Any] = {
        "words": terms("canon"),
        "labels": (("old", "x"),),
        "formats": ("GIF",),
        "colors": ("RED",),
        "similar": Similar(HASH, 11),
    }
    for condition, value in old_values.items():
        assert await engine.ids(**{condition: value}) == [], condition


async def test_a_batch_is_written_in_its_order(engine: Engine) -> None:
    """A batch may contain several documents of one image. Each document has its own result."""
    batch = [*versions(2, 6, 4), document()]
    expected = [WriteStatus.INDEXED, WriteStatus.INDEXED, WriteStatus.STALE, WriteStatus.INDEXED]
    assert statuses(await engine.writer.write(batch)) == expected
    await engine.writer.refresh()
    assert await cameras(engine) == ["camera 6"]
    assert len(await engine.ids()) == 2


async def test_concurrent_writers_keep_the_highest_revision(engine: Engine) -> None:
    """Two indexers share the queue, and both may get events of a request that was retried."""
    images = [versions(*range(2, 22)) for _ in range(5)]
    async with open_engine(engine.settings) as other:
        ascending = [image[index] for index in range(20) for image in images]
        await asyncio.gather(
            *(engine.writer.write(ascending[start : start + 10]) for start in range(0, 100, 10)),
            *(other.writer.write(ascending[start : start + 10]) for start in range(90, -1, -10)),
        )
        await other.writer.refresh()
        assert len(await other.ids()) == 5
    assert await cameras(engine) == ["camera 21"]


async def test_preparing_again_changes_nothing(engine: Engine) -> None:
    """Every indexer prepares the index at start-up, possibly at the same time as others."""
    (image,) = versions(2)
    await engine.put(image)
    await asyncio.gather(*(engine.writer.prepare() for _ in range(4)))
    assert await engine.ids() == [image.image_id]


async def test_a_finished_rebuild_replaces_the_index(engine: Engine) -> None:
    """Until then, searches read the old index. Afterwards, searches and writes use the new one."""
    (before, after), kept, added = versions(2, 4), document(), document()
    await engine.put(before, kept)
    async with engine.writer.rebuild() as rebuild:
        assert statuses(await rebuild.write([after, kept, added])) == [WriteStatus.INDEXED] * 3
        await engine.writer.refresh()
        assert await engine.ids() == [kept.image_id, before.image_id]
        assert await cameras(engine) == ["camera 2"]
        await rebuild.finish()
    assert await engine.ids() == [added.image_id, kept.image_id, after.image_id]
    assert await cameras(engine) == ["camera 4"]
    later = document()
    await engine.put(later)
    assert await engine.ids(created=Range(first=added.created_at)) == [
        later.image_id,
        added.image_id,
    ]
    assert statuses(await engine.writer.write([before])) == [WriteStatus.STALE]


async def test_documents_written_during_a_rebuild_are_kept(engine: Engine) -> None:
    """The order does not matter: the rebuild may write the same image before or after, in an older revision."""
    (old_a, new_a), (old_b, new_b) = versions(2, 4), versions(2, 4)
    await engine.put(old_a, old_b)
    not_rebuilt = document(camera="not rebuilt")
    async with engine.writer.rebuild() as rebuild:
        await engine.put(new_a)
        await rebuild.write([old_a, old_b])
        await engine.put(new_b, not_rebuilt)
        assert await cameras(engine) == ["camera 4", "not rebuilt"]
        await rebuild.finish()
    assert await cameras(engine) == ["camera 4", "not rebuilt"]
    assert len(await engine.ids()) == 3
    assert statuses(await engine.writer.write([old_a])) == [WriteStatus.STALE]


async def test_an_abandoned_rebuild_changes_nothing(engine: Engine) -> None:
    """It does not affect the next rebuild either, which starts empty."""
    before = document()
    await engine.put(before)
    discarded = document()

    async def abandoned() -> None:
        async with engine.writer.rebuild() as rebuild:
            await rebuild.write([discarded])
            raise AbandonedError

    with pytest.raises(AbandonedError):
        await abandoned()
    async with engine.writer.rebuild() as rebuild:
        await rebuild.write([discarded])
    assert await engine.ids() == [before.image_id]
    after = document()
    await engine.put(after)
    async with engine.writer.rebuild() as rebuild:
        await rebuild.write([before, after])
        await rebuild.finish()
    assert await engine.ids() == [after.image_id, before.image_id]


async def test_searches_continue_during_rebuilds(engine: Engine) -> None:
    """Each search reads either the complete old index or the complete new one."""
    images = [document() for _ in range(12)]
    await engine.put(*images[:3])
    done = asyncio.Event()

    async def search() -> set[tuple[int, int]]:
        seen = set()
        while not done.is_set():
            found = await engine.search(SearchQuery(ACME))
            seen.add((found.total, len(found.hits)))
        return seen

    async with asyncio.TaskGroup() as group:
        searching = group.create_task(search())
        for size in (5, 8, 12):
            async with engine.writer.rebuild() as rebuild:
                for image in images[:size]:
                    await rebuild.write([image])
                await rebuild.finish()
            assert len(await engine.ids()) == size
        done.set()
    assert searching.result() <= {(size, size) for size in (3, 5, 8, 12)}

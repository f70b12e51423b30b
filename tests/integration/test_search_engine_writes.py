"""Every engine keeps the highest revision of an image, in whatever order they come, and is rebuilt while it is read."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.search.color import Color
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.query import Range, SearchQuery, Similar
from harness.search_documents import ACME, asked, document
from harness.search_engines import Engine, opened

HASH = "0123456789abcdef"


class AbandonedError(Exception):
    """Whatever ends a rebuild early."""


def outcomes(written: tuple[WriteResult, ...]) -> list[WriteStatus]:
    return [one.status for one in written]


def versions(*revisions: int) -> list[SearchDocument]:
    """One image at each of these revisions, of which its camera tells."""
    first = document()
    return [replace(first, revision=each, camera=f"camera {each}") for each in revisions]


async def cameras(engine: Engine) -> list[str]:
    found = await engine.ask(SearchQuery(ACME), facets=True)
    return [value.value for value in found.facets[2].values]


async def test_writing_nothing_is_allowed(engine: Engine) -> None:
    """An empty batch has an empty answer."""
    assert await engine.writer.write([]) == ()
    assert await engine.ids() == []


async def test_a_document_may_be_written_again(engine: Engine) -> None:
    """An event that is delivered twice changes nothing."""
    (image,) = versions(2)
    await engine.put(image)
    await engine.put(image)
    assert await engine.ids() == [image.image_id]


async def test_an_older_document_is_stale(engine: Engine) -> None:
    """Events may overtake each other."""
    old, new = versions(2, 4)
    await engine.put(new)
    assert outcomes(await engine.writer.write([old])) == [WriteStatus.STALE]
    await engine.writer.refresh()
    assert await cameras(engine) == ["camera 4"]
    assert await engine.ids(words=asked("2")) == []


async def test_a_newer_document_takes_the_olders_place(engine: Engine) -> None:
    """Nothing of the older one is found any more, by whatever it is looked for."""
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
    found: dict[str, Any] = {
        "words": asked("nikon 8"),
        "labels": (("new", "x"),),
        "formats": ("PNG",),
    }
    for condition, value in found.items():
        assert await engine.ids(**{condition: value}) == [new.image_id], condition
    gone: dict[str, Any] = {
        "words": asked("canon"),
        "labels": (("old", "x"),),
        "formats": ("GIF",),
        "colors": ("RED",),
        "similar": Similar(HASH, 11),
    }
    for condition, value in gone.items():
        assert await engine.ids(**{condition: value}) == [], condition


async def test_a_batch_is_written_in_its_order(engine: Engine) -> None:
    """Several documents of one image may be in it, and each is told what became of it."""
    batch = [*versions(2, 6, 4), document()]
    expected = [WriteStatus.INDEXED, WriteStatus.INDEXED, WriteStatus.STALE, WriteStatus.INDEXED]
    assert outcomes(await engine.writer.write(batch)) == expected
    await engine.writer.refresh()
    assert await cameras(engine) == ["camera 6"]
    assert len(await engine.ids()) == 2


async def test_writers_at_once_leave_the_highest_revision(engine: Engine) -> None:
    """Two indexers share the queue, and a redriven request's events may go to both."""
    images = [versions(*range(2, 22)) for _ in range(5)]
    async with opened(engine.settings) as other:
        forwards = [image[place] for place in range(20) for image in images]
        await asyncio.gather(
            *(engine.writer.write(forwards[start : start + 10]) for start in range(0, 100, 10)),
            *(other.writer.write(forwards[start : start + 10]) for start in range(90, -1, -10)),
        )
        await other.writer.refresh()
        assert len(await other.ids()) == 5
    assert await cameras(engine) == ["camera 21"]


async def test_preparing_again_changes_nothing(engine: Engine) -> None:
    """Every indexer does so at its start, also at the same moment as others."""
    (image,) = versions(2)
    await engine.put(image)
    await asyncio.gather(*(engine.writer.prepare() for _ in range(4)))
    assert await engine.ids() == [image.image_id]


async def test_a_rebuild_takes_the_indexs_place_when_it_is_finished(engine: Engine) -> None:
    """Until then everybody reads the old one; afterwards what the rebuild wrote, and writes go there."""
    (before, after), kept, added = versions(2, 4), document(), document()
    await engine.put(before, kept)
    async with engine.writer.rebuild() as rebuild:
        assert outcomes(await rebuild.write([after, kept, added])) == [WriteStatus.INDEXED] * 3
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
    assert outcomes(await engine.writer.write([before])) == [WriteStatus.STALE]


async def test_what_is_written_during_a_rebuild_is_there_afterwards(engine: Engine) -> None:
    """Whether the rebuild reads the image before or after that, and though it reads an older one."""
    (old_a, new_a), (old_b, new_b) = versions(2, 4), versions(2, 4)
    await engine.put(old_a, old_b)
    only_there = document(camera="only there")
    async with engine.writer.rebuild() as rebuild:
        await engine.put(new_a)
        await rebuild.write([old_a, old_b])
        await engine.put(new_b, only_there)
        assert await cameras(engine) == ["camera 4", "only there"]
        await rebuild.finish()
    assert await cameras(engine) == ["camera 4", "only there"]
    assert len(await engine.ids()) == 3
    assert outcomes(await engine.writer.write([old_a])) == [WriteStatus.STALE]


async def test_a_rebuild_that_is_abandoned_leaves_everything_as_it_was(engine: Engine) -> None:
    """Also the next one, which begins from nothing."""
    before = document()
    await engine.put(before)
    never = document()

    async def abandoned() -> None:
        async with engine.writer.rebuild() as rebuild:
            await rebuild.write([never])
            raise AbandonedError

    with pytest.raises(AbandonedError):
        await abandoned()
    async with engine.writer.rebuild() as rebuild:
        await rebuild.write([never])
    assert await engine.ids() == [before.image_id]
    after = document()
    await engine.put(after)
    async with engine.writer.rebuild() as rebuild:
        await rebuild.write([before, after])
        await rebuild.finish()
    assert await engine.ids() == [after.image_id, before.image_id]


async def test_searches_go_on_during_rebuilds(engine: Engine) -> None:
    """Each sees the whole of the old index or the whole of the new one."""
    images = [document() for _ in range(12)]
    await engine.put(*images[:3])
    done = asyncio.Event()

    async def search() -> set[tuple[int, int]]:
        seen = set()
        while not done.is_set():
            found = await engine.ask(SearchQuery(ACME))
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

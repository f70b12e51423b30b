"""Every engine reports an index as incomplete if images existed when it was created empty, until a rebuild."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from core.errors import DependencyUnavailable
from core.search.engine import HasImages, SearchWriter, no_images, open_writer
from core.search.settings import SearchSettings
from harness.search_documents import document
from harness.search_engines import Engine, settings_for


async def some_exist() -> bool:
    return True


async def unknown() -> bool:
    raise DependencyUnavailable("the table does not answer")


@pytest.fixture
def new_index(engine: Engine) -> SearchSettings:
    """Settings of an index that does not exist yet."""
    location, index = engine.settings.search_location, engine.settings.search_index
    if engine.name == "sqlite":
        return settings_for(f"{location}-another", index)
    return settings_for(location, f"{index}-another")


@asynccontextmanager
async def writing(settings: SearchSettings, images: HasImages) -> AsyncIterator[SearchWriter]:
    writer = open_writer(settings, images)
    try:
        yield writer
    finally:
        await writer.close()


@pytest.mark.parametrize(("images", "incomplete"), [(no_images, False), (some_exist, True)])
async def test_the_creator_of_an_index_decides_if_it_is_complete(
    new_index: SearchSettings, images: HasImages, *, incomplete: bool
) -> None:
    """A later writer sees other tables, but reads the stored decision and does not change it."""
    async with writing(new_index, images) as first:
        await first.prepare()
        assert await first.incomplete() is incomplete
        await first.write([document()])
    for later in (some_exist, no_images):
        async with writing(new_index, later) as writer:
            await writer.prepare()
            assert await writer.incomplete() is incomplete


async def test_a_rebuild_completes_the_index(new_index: SearchSettings) -> None:
    """All writers see it when the rebuild is finished. An abandoned rebuild changes nothing."""
    async with writing(new_index, some_exist) as watching, writing(new_index, some_exist) as other:
        await watching.prepare()
        async with other.rebuild() as rebuild:
            await rebuild.write([document()])
        assert await watching.incomplete()
        async with other.rebuild() as rebuild:
            await rebuild.write([document()])
            assert await watching.incomplete()
            await rebuild.finish()
        assert not await watching.incomplete()
        await watching.prepare()
        assert not await watching.incomplete()


async def test_during_an_outage_of_the_tables_nothing_is_decided(new_index: SearchSettings) -> None:
    """The error is raised, and the next writer reads the tables again. The index never counts as complete."""
    async with writing(new_index, unknown) as failing:
        with pytest.raises(DependencyUnavailable, match="the table does not answer"):
            await failing.prepare()
    async with writing(new_index, some_exist) as writer:
        await writer.prepare()
        assert await writer.incomplete()


async def test_concurrent_writers_agree(new_index: SearchSettings) -> None:
    """An image may be inserted between two reads of the tables. One read decides for all writers."""
    writers = [open_writer(new_index, each) for each in (some_exist, no_images) * 3]
    await asyncio.gather(*(each.prepare() for each in writers))
    answers = await asyncio.gather(*(each.incomplete() for each in writers))
    await asyncio.gather(*(each.close() for each in writers))
    assert len(set(answers)) == 1

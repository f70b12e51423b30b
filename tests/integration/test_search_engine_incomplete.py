"""Every engine knows of an index that was made empty although there were images, until a rebuild has made another."""

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


async def nobody_knows() -> bool:
    raise DependencyUnavailable("the table does not answer")


@pytest.fixture
def untouched(engine: Engine) -> SearchSettings:
    """Of an index that nobody has made yet."""
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
async def test_who_makes_the_index_says_whether_it_is_whole(
    untouched: SearchSettings, images: HasImages, *, incomplete: bool
) -> None:
    """Whoever comes later, to whom the tables look different by then, finds what was said and changes nothing."""
    async with writing(untouched, images) as first:
        await first.prepare()
        assert await first.incomplete() is incomplete
        await first.write([document()])
    for later in (some_exist, no_images):
        async with writing(untouched, later) as writer:
            await writer.prepare()
            assert await writer.incomplete() is incomplete


async def test_a_rebuild_makes_it_whole(untouched: SearchSettings) -> None:
    """For everybody, once it is read; one that is abandoned does not."""
    async with writing(untouched, some_exist) as watching, writing(untouched, some_exist) as other:
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


async def test_while_nobody_knows_of_images_nothing_is_said(untouched: SearchSettings) -> None:
    """An outage of the tables is told of, and they are asked again: nobody takes an index for whole meanwhile."""
    async with writing(untouched, nobody_knows) as unlucky:
        with pytest.raises(DependencyUnavailable, match="the table does not answer"):
            await unlucky.prepare()
    async with writing(untouched, some_exist) as writer:
        await writer.prepare()
        assert await writer.incomplete()


async def test_many_who_come_at_once_say_the_same(untouched: SearchSettings) -> None:
    """An image may be recorded between two answers of the tables: one of them counts, for all."""
    writers = [open_writer(untouched, each) for each in (some_exist, no_images) * 3]
    await asyncio.gather(*(each.prepare() for each in writers))
    said = await asyncio.gather(*(each.incomplete() for each in writers))
    await asyncio.gather(*(each.close() for each in writers))
    assert len(set(said)) == 1

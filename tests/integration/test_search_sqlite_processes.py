"""Several processes share one file, and some are killed."""

import asyncio
import os
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from core.search.query import SearchQuery
from harness.aws import ROOT
from harness.search_documents import document
from harness.search_engines import Engine, opened, settings_for
from harness.sqlite_writer import BATCH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@asynccontextmanager
async def writing(command: str, url: str, processes: int = 1) -> AsyncIterator[None]:
    """Processes, started at once, that write without end. Each has written something; all are killed in the end."""
    async with AsyncExitStack() as stack:
        started = [await _start(command, url, stack) for _ in range(processes)]
        for process in started:
            assert process.stdout is not None
            assert await process.stdout.readline() == b"0\n"
        yield


async def _start(command: str, url: str, stack: AsyncExitStack) -> Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harness.sqlite_writer", command, url),
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )
    stack.push_async_callback(process.wait)
    stack.callback(process.kill)
    return process


async def whole_batches(engine: Engine) -> int:
    """How many numbers of batches are there. Of none there is a part."""
    number = 0
    while total := (await engine.ask(SearchQuery(f"customer-{number}"))).total:
        assert total % BATCH == 0
        number += 1
    return number


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


async def test_processes_that_start_at_once_make_one_index(url: str) -> None:
    """Nobody fails because another one makes the file at that moment."""
    async with writing("write", url, processes=4):
        pass
    async with opened(settings_for(url, "index")) as engine:
        assert (await engine.ask(SearchQuery("customer-0"))).total == 4 * BATCH


async def test_searches_go_on_while_other_processes_write(url: str) -> None:
    """Each sees whole batches."""
    async with opened(settings_for(url, "index")) as engine, writing("write", url, processes=2):
        seen = await whole_batches(engine)
        assert seen > 0
        while await whole_batches(engine) < seen + 5:
            pass


async def test_writers_that_are_killed_leave_whole_batches(url: str) -> None:
    """And everybody goes on at once."""
    for _ in range(2):
        async with writing("write", url, processes=2):
            pass
        async with opened(settings_for(url, "index")) as engine:
            await engine.put(document())
    async with opened(settings_for(url, "index")) as engine:
        assert len(await engine.ids()) == 2
        assert await whole_batches(engine) > 0
        assert (await engine.ask(SearchQuery("customer-0"))).total == 4 * BATCH


async def test_a_rebuild_that_is_abandoned_leaves_nothing_in_the_file(url: str, path: Path) -> None:
    """Or every write would be done twice until the next one."""
    async with opened(settings_for(url, "index")) as engine:
        before = await asyncio.to_thread(tables, path)
        async with engine.writer.rebuild() as rebuild:
            await rebuild.write([document()])
            assert await asyncio.to_thread(tables, path) > before
        assert await asyncio.to_thread(tables, path) == before


async def test_a_rebuild_that_is_killed_is_cleared_away_by_the_next(url: str, path: Path) -> None:
    """Until then the old index is read and written; afterwards nothing of the killed one is in the file."""
    async with opened(settings_for(url, "index")) as engine:
        kept = document()
        await engine.put(kept)
        before = len(await asyncio.to_thread(tables, path))
        async with writing("rebuild", url):
            assert await engine.ids() == [kept.image_id]
        later = document()
        await engine.put(later)
        assert await engine.ids() == [later.image_id, kept.image_id]
        assert len(await asyncio.to_thread(tables, path)) > before
        async with engine.writer.rebuild() as rebuild:
            await rebuild.write([kept])
            await rebuild.finish()
        # What the rebuild did not find in the tables of images is gone.
        assert await engine.ids() == [kept.image_id]
        assert (await engine.ask(SearchQuery("customer-0"))).total == 0
        assert len(await asyncio.to_thread(tables, path)) == before

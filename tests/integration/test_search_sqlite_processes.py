"""Several processes share one SQLite file, and some of them are killed."""

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
from harness.search_engines import Engine, open_engine, settings_for
from harness.sqlite_writer import BATCH


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


@asynccontextmanager
async def writing(command: str, url: str, processes: int = 1) -> AsyncIterator[None]:
    """Start processes that write until they are killed on exit. Yield when each has written a batch."""
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


async def complete_batches(engine: Engine) -> int:
    """Return how many batch numbers the index contains. Check that no batch is partial."""
    number = 0
    while total := (await engine.search(SearchQuery(f"customer-{number}"))).total:
        assert total % BATCH == 0
        number += 1
    return number


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}


async def test_concurrent_processes_create_one_index(url: str) -> None:
    """No process fails because another process creates the file at the same time."""
    async with writing("write", url, processes=4):
        pass
    async with open_engine(settings_for(url, "index")) as engine:
        assert (await engine.search(SearchQuery("customer-0"))).total == 4 * BATCH


async def test_searches_continue_while_other_processes_write(url: str) -> None:
    """Each search sees only complete batches."""
    async with (
        open_engine(settings_for(url, "index")) as engine,
        writing("write", url, processes=2),
    ):
        seen = await complete_batches(engine)
        assert seen > 0
        while await complete_batches(engine) < seen + 5:
            pass


async def test_killed_writers_leave_complete_batches(url: str) -> None:
    """Other writers can continue immediately."""
    for _ in range(2):
        async with writing("write", url, processes=2):
            pass
        async with open_engine(settings_for(url, "index")) as engine:
            await engine.put(document())
    async with open_engine(settings_for(url, "index")) as engine:
        assert len(await engine.ids()) == 2
        assert await complete_batches(engine) > 0
        assert (await engine.search(SearchQuery("customer-0"))).total == 4 * BATCH


async def test_an_abandoned_rebuild_leaves_no_tables(url: str, path: Path) -> None:
    """Otherwise every write would go to two indexes until the next rebuild."""
    async with open_engine(settings_for(url, "index")) as engine:
        before = await asyncio.to_thread(tables, path)
        async with engine.writer.rebuild() as rebuild:
            await rebuild.write([document()])
            assert await asyncio.to_thread(tables, path) > before
        assert await asyncio.to_thread(tables, path) == before


async def test_the_next_rebuild_deletes_the_tables_of_a_killed_rebuild(
    url: str, path: Path
) -> None:
    """Until then, the old index is read and written."""
    async with open_engine(settings_for(url, "index")) as engine:
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
        # A document that the rebuild did not write is no longer in the index.
        assert await engine.ids() == [kept.image_id]
        assert (await engine.search(SearchQuery("customer-0"))).total == 0
        assert len(await asyncio.to_thread(tables, path)) == before

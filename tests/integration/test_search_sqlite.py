"""The SQLite engine only: its file is shared by processes, and may be missing, foreign or locked."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core.errors import SearchUnavailable
from core.search.engine import WriteStatus, open_reader, open_writer
from core.search.query import SearchQuery
from core.search.settings import SearchSettings
from core.search.sqlite.generations import current
from core.search.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION
from core.search.sqlite.sql import SearchSql
from harness.search_documents import ACME, document, terms
from harness.search_engines import open_engine, settings_for

QUERY = SearchQuery(ACME)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


async def test_a_reader_may_start_before_every_writer(url: str) -> None:
    """A server may start before the indexer. It finds nothing at first, and later the written documents."""
    reader = open_reader(settings_for(url, "index"))
    assert (await reader.search(QUERY, limit=10)).total == 0
    async with open_engine(settings_for(url, "index")) as engine:
        await engine.put(document())
        assert (await reader.search(QUERY, limit=10)).total == 1
    await reader.close()


@pytest.mark.parametrize(
    ("used", "unused"),
    [
        ({"words": terms("falcon")}, {"words": terms("owl")}),
        ({"words": terms("fal", prefix=True)}, {"words": terms("ow", prefix=True)}),
        ({"labels": (("project", "falcon"),)}, {"labels": (("project", "owl"),)}),
    ],
)
async def test_a_query_does_not_cost_more_for_documents_of_other_customers(
    url: str, path: Path, used: dict[str, Any], unused: dict[str, Any]
) -> None:
    """Otherwise its duration would reveal other customers' images, and they could slow it down."""
    async with open_engine(settings_for(url, "index")) as engine:
        await engine.put(*(document(labels={"project": "falcon"}) for _ in range(300)))
    owner, other, other_unused = [
        await asyncio.to_thread(vm_steps, path, SearchQuery(customer, **conditions))
        for customer, conditions in ((ACME, used), ("another", used), ("another", unused))
    ]
    assert other == other_unused < owner


def vm_steps(path: Path, query: SearchQuery) -> int:
    """Return the number of instructions of SQLite's virtual machine that counting all hits takes."""
    counted = 0

    def count() -> int:
        nonlocal counted
        counted += 1
        return 0

    with closing(sqlite3.connect(path)) as connection:
        total = SearchSql(query, current(connection)).total
        connection.set_progress_handler(count, 1)
        connection.execute(total.sql, total.values).fetchall()
    return counted


async def test_concurrent_writers_create_one_index(url: str) -> None:
    """No writer fails because another writer creates the file at the same time."""
    settings = settings_for(url, "index")
    writers = [open_writer(settings) for _ in range(8)]
    await asyncio.gather(*(writer.write([document()]) for writer in writers))
    async with open_engine(settings) as engine, asyncio.TaskGroup() as group:
        assert len(await engine.ids()) == 8
        for writer in writers:
            group.create_task(writer.close())


async def test_a_second_concurrent_rebuild_fails(url: str) -> None:
    """Two rebuilds would conflict. The first one continues."""
    async with (
        open_engine(settings_for(url, "one")) as engine,
        open_engine(settings_for(url, "two")) as other,
    ):
        image = document()
        async with engine.writer.rebuild() as rebuild:
            with pytest.raises(SearchUnavailable, match="Another rebuild"):
                await other.writer.rebuild().__aenter__()
            await rebuild.write([image])
            await rebuild.finish()
        assert await other.ids() == [image.image_id]
        async with other.writer.rebuild() as rebuild:
            await rebuild.finish()
        assert await engine.ids() == []


async def test_a_document_that_cannot_be_stored_is_rejected(url: str) -> None:
    """The other documents of the batch are written. No part of the rejected one is."""
    good = document()
    bad = [
        document(labels={"order": "7", "half": "\ud83d"}),
        document(bytes=2**63),
        document(camera="\udc00"),
    ]
    async with open_engine(settings_for(url, "index")) as engine:
        written = await engine.writer.write([bad[0], good, *bad[1:]])
        rejected = WriteStatus.REJECTED
        assert [each.status for each in written] == [
            rejected,
            WriteStatus.INDEXED,
            rejected,
            rejected,
        ]
        assert all(each.reason for each in written if each.status is rejected)
        assert await engine.ids() == [good.image_id]
        assert await engine.ids(labels=(("order", "7"),)) == []


async def test_a_deleted_file_is_an_empty_index(url: str, path: Path) -> None:
    """A process that has the deleted file open uses the new one, also if another process created it."""
    async with open_engine(settings_for(url, "index")) as engine:
        await engine.put(document())
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            await asyncio.to_thread(file.unlink)
        async with open_engine(settings_for(url, "index")) as other:
            new = document()
            await other.put(new)
        assert await engine.ids() == [new.image_id]
        later = document()
        await engine.put(later)
        assert await engine.ids() == [later.image_id, new.image_id]


def _not_a_database(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7 " * 1_000)


def _another_application(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (url TEXT)")


def _another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")


@pytest.mark.parametrize(
    ("create_file", "message"),
    [
        (_not_a_database, "is not an SQLite file"),
        (_another_application, "belongs to another application"),
        (
            _another_version,
            rf"has schema {SCHEMA_VERSION + 1}, .*: delete .*search\.db-shm, and run `imageservice reindex`",
        ),
        (Path.mkdir, "cannot be opened: its folder must exist"),
    ],
)
async def test_a_file_that_is_no_index_is_not_changed(
    url: str, path: Path, create_file: Callable[[Path], None], message: str
) -> None:
    """The error contains the cause. When the file is deleted, search works without a restart."""
    await asyncio.to_thread(create_file, path)
    settings = settings_for(url, "index")
    reader, writer = open_reader(settings), open_writer(settings)
    size = (await asyncio.to_thread(path.stat)).st_size
    for attempt in (
        writer.prepare,
        writer.incomplete,
        lambda: writer.write([document()]),
        lambda: reader.search(QUERY, limit=1),
        lambda: writer.rebuild().__aenter__(),
    ):
        with pytest.raises(SearchUnavailable, match=message):
            await attempt()
    assert (await asyncio.to_thread(path.stat)).st_size == size
    await asyncio.to_thread(path.rmdir if create_file is Path.mkdir else path.unlink)
    assert (await reader.search(QUERY, limit=1)).total == 0
    await writer.write([document()])
    assert (await reader.search(QUERY, limit=1)).total == 1
    await reader.close()
    await writer.close()


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """The folder is not created: either the URL is wrong or a volume is not mounted."""
    folder = tmp_path / "missing"
    reader = open_reader(settings_for(f"sqlite:///{folder}/search.db", "index"))
    with pytest.raises(SearchUnavailable, match=r"missing/search\.db cannot be opened"):
        await reader.search(QUERY, limit=1)
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
    await reader.close()


async def test_a_file_locked_by_another_process_is_unavailable_for_writes(
    url: str, path: Path
) -> None:
    """Searches are not affected. A write fails after its timeout, and succeeds later."""
    settings = SearchSettings.model_validate({"search_url": url, "search_timeout_s": 0.02})
    async with open_engine(settings_for(url, "index")) as engine:
        await engine.put(document())
        impatient, image = open_writer(settings), document()
        holder = await asyncio.to_thread(
            sqlite3.connect, path, isolation_level=None, check_same_thread=False
        )
        await asyncio.to_thread(holder.execute, "BEGIN IMMEDIATE")
        with pytest.raises(SearchUnavailable, match=r"search\.db"):
            await impatient.write([image])
        assert len(await engine.ids()) == 1
        await asyncio.to_thread(holder.close)
        await engine.put(image)
        await impatient.close()
        assert len(await engine.ids()) == 2

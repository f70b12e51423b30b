"""What is SQLite's own: one file that several processes share, that may be missing, foreign or held by somebody."""

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
from harness.search_documents import ACME, asked, document
from harness.search_engines import opened, settings_for

QUERY = SearchQuery(ACME)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


async def test_a_reader_may_come_before_every_writer(url: str) -> None:
    """A server may start before the indexer: it finds nothing, and then what is written."""
    reader = open_reader(settings_for(url, "index"))
    assert (await reader.search(QUERY, limit=10)).total == 0
    async with opened(settings_for(url, "index")) as engine:
        await engine.put(document())
        assert (await reader.search(QUERY, limit=10)).total == 1
    await reader.close()


@pytest.mark.parametrize(
    ("theirs", "nobodys"),
    [
        ({"words": asked("falcon")}, {"words": asked("owl")}),
        ({"words": asked("fal", prefix=True)}, {"words": asked("ow", prefix=True)}),
        ({"labels": (("project", "falcon"),)}, {"labels": (("project", "owl"),)}),
    ],
)
async def test_a_question_costs_the_same_whatever_others_have(
    url: str, path: Path, theirs: dict[str, Any], nobodys: dict[str, Any]
) -> None:
    """Or the time that it takes would tell of others' images; and they could make it long."""
    async with opened(settings_for(url, "index")) as engine:
        await engine.put(*(document(labels={"project": "falcon"}) for _ in range(300)))
    owners, strangers, idle = [
        await asyncio.to_thread(steps, path, SearchQuery(customer, **question))
        for customer, question in ((ACME, theirs), ("another", theirs), ("another", nobodys))
    ]
    assert strangers == idle < owners


def steps(path: Path, query: SearchQuery) -> int:
    """Of SQLite's machine, for all hits."""
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


async def test_processes_that_start_at_once_make_one_index(url: str) -> None:
    """Nobody fails because another one makes the file at that moment."""
    settings = settings_for(url, "index")
    openers = [open_writer(settings) for _ in range(8)]
    await asyncio.gather(*(opener.write([document()]) for opener in openers))
    async with opened(settings) as engine, asyncio.TaskGroup() as group:
        assert len(await engine.ids()) == 8
        for opener in openers:
            group.create_task(opener.close())


async def test_a_second_rebuild_is_told_of_the_first(url: str) -> None:
    """They would be in each other's way; the first one goes on."""
    async with (
        opened(settings_for(url, "one")) as engine,
        opened(settings_for(url, "two")) as other,
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


async def test_a_document_that_cannot_be_kept_is_rejected(url: str) -> None:
    """Its neighbours are written, and nothing of it is."""
    good = document()
    bad = [
        document(labels={"order": "7", "half": "\ud83d"}),
        document(bytes=2**63),
        document(camera="\udc00"),
    ]
    async with opened(settings_for(url, "index")) as engine:
        written = await engine.writer.write([bad[0], good, *bad[1:]])
        rejected = WriteStatus.REJECTED
        assert [one.status for one in written] == [
            rejected,
            WriteStatus.INDEXED,
            rejected,
            rejected,
        ]
        assert all(one.reason for one in written if one.status is rejected)
        assert await engine.ids() == [good.image_id]
        assert await engine.ids(labels=(("order", "7"),)) == []


async def test_a_deleted_file_is_an_empty_index(url: str, path: Path) -> None:
    """Whoever had it open makes a new one, also where it has grown under the old name meanwhile."""
    async with opened(settings_for(url, "index")) as engine:
        await engine.put(document())
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            await asyncio.to_thread(file.unlink)
        async with opened(settings_for(url, "index")) as other:
            anew = document()
            await other.put(anew)
        assert await engine.ids() == [anew.image_id]
        later = document()
        await engine.put(later)
        assert await engine.ids() == [later.image_id, anew.image_id]


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
    ("made", "sentence"),
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
async def test_a_file_that_is_no_index_is_left_alone(
    url: str, path: Path, made: Callable[[Path], None], sentence: str
) -> None:
    """Whoever runs the service is told what is the matter; once the file is gone, all goes on without a restart."""
    await asyncio.to_thread(made, path)
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
        with pytest.raises(SearchUnavailable, match=sentence):
            await attempt()
    assert (await asyncio.to_thread(path.stat)).st_size == size
    await asyncio.to_thread(path.rmdir if made is Path.mkdir else path.unlink)
    assert (await reader.search(QUERY, limit=1)).total == 0
    await writer.write([document()])
    assert (await reader.search(QUERY, limit=1)).total == 1
    await reader.close()
    await writer.close()


async def test_a_folder_that_does_not_exist_is_told_of(tmp_path: Path) -> None:
    """It is not made: the URL is wrong, or a volume is not mounted."""
    folder = tmp_path / "missing"
    reader = open_reader(settings_for(f"sqlite:///{folder}/search.db", "index"))
    with pytest.raises(SearchUnavailable, match=r"missing/search\.db cannot be opened"):
        await reader.search(QUERY, limit=1)
    assert await asyncio.to_thread(os.listdir, tmp_path) == []
    await reader.close()


async def test_a_file_that_another_process_holds_is_unavailable_for_writes(
    url: str, path: Path
) -> None:
    """Searches do not notice; a write waits for its time and no longer, and succeeds later."""
    settings = SearchSettings.model_validate({"search_url": url, "search_timeout_s": 0.02})
    async with opened(settings_for(url, "index")) as engine:
        await engine.put(document())
        hasty, image = open_writer(settings), document()
        holder = await asyncio.to_thread(
            sqlite3.connect, path, isolation_level=None, check_same_thread=False
        )
        await asyncio.to_thread(holder.execute, "BEGIN IMMEDIATE")
        with pytest.raises(SearchUnavailable, match=r"search\.db"):
            await hasty.write([image])
        assert len(await engine.ids()) == 1
        await asyncio.to_thread(holder.close)
        await engine.put(image)
        await hasty.close()
        assert len(await engine.ids()) == 2

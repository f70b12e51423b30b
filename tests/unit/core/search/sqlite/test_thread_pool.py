"""Calls of SQLite are ended in time, and their threads are free again."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from core.errors import SearchUnavailable
from core.search.sqlite.file import IndexFile
from core.search.sqlite.thread_pool import MAX_WAITING, Calls

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


async def test_a_call_that_takes_too_long_is_ended(path: Path) -> None:
    """Its thread is free again: here there is but one."""
    calls = Calls(IndexFile(path), threads=1, seconds=2)
    await calls.run("ping", lambda connection: connection.execute("SELECT 1"))
    with pytest.raises(SearchUnavailable, match=r"search\.db"):
        await calls.run("search", lambda connection: connection.execute(ENDLESS).fetchone())
    await calls.close()


async def test_a_call_that_nobody_waits_for_is_ended(path: Path) -> None:
    """A customer who hangs up leaves no work behind."""
    calls = Calls(IndexFile(path), threads=1, seconds=60)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(begun.set)
        connection.execute(ENDLESS).fetchone()

    left = asyncio.create_task(calls.run("search", work))
    await begun.wait()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    assert await calls.run(
        "ping", lambda connection: connection.execute("SELECT 7").fetchone()
    ) == (7,)
    await calls.close()


async def test_no_more_calls_wait_than_there_is_room_for(path: Path) -> None:
    """Those on top are refused at once."""
    calls = Calls(IndexFile(path), threads=1, seconds=60)
    waiting = [
        asyncio.create_task(calls.run("search", lambda connection: connection.execute(ENDLESS)))
        for _ in range(MAX_WAITING + 1)
    ]
    await asyncio.sleep(0)
    with pytest.raises(SearchUnavailable, match="wait for"):
        await calls.run("search", lambda connection: connection.execute("SELECT 1"))
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await calls.close()

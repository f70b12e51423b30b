"""SQLite calls end at their timeout, and free their threads."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from core.errors import SearchUnavailable
from core.search.sqlite.file import IndexFile
from core.search.sqlite.thread_pool import MAX_PENDING, SqliteThreadPool

ENDLESS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "search.db"


async def test_a_slow_call_ends_at_its_timeout(path: Path) -> None:
    """And frees its thread."""
    pool = SqliteThreadPool(IndexFile(path), threads=1, seconds=2)
    await pool.run("ping", lambda connection: connection.execute("SELECT 1"))
    with pytest.raises(SearchUnavailable, match=r"search\.db"):
        await pool.run("search", lambda connection: connection.execute(ENDLESS).fetchone())
    await pool.close()


async def test_a_cancelled_call_ends(path: Path) -> None:
    """A caller that hangs up leaves no work behind: the only thread takes the next call."""
    pool = SqliteThreadPool(IndexFile(path), threads=1, seconds=60)
    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        connection.execute(ENDLESS).fetchone()

    cancelled = asyncio.create_task(pool.run("search", work))
    await started.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await pool.run("ping", lambda connection: connection.execute("SELECT 7").fetchone()) == (
        7,
    )
    await pool.close()


async def test_pending_calls_are_limited(path: Path) -> None:
    """Further calls fail at once."""
    pool = SqliteThreadPool(IndexFile(path), threads=1, seconds=60)
    waiting = [
        asyncio.create_task(pool.run("search", lambda connection: connection.execute(ENDLESS)))
        for _ in range(MAX_PENDING + 1)
    ]
    await asyncio.sleep(0)
    with pytest.raises(SearchUnavailable, match="wait for"):
        await pool.run("search", lambda connection: connection.execute("SELECT 1"))
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await pool.close()

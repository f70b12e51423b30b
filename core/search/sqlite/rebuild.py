"""A rebuild: fills a new generation beside the current one."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from core.errors import SearchUnavailable
from core.search.document import SearchDocument
from core.search.engine import WriteResult
from core.search.sqlite import generations
from core.search.sqlite.documents import write_document
from core.search.sqlite.file import transaction
from core.search.sqlite.thread_pool import SqliteThreadPool

_log = structlog.get_logger()


class SqliteRebuild:
    """Writers write into the new generation too, from its start. Revisions decide which write wins."""

    def __init__(self, pool: SqliteThreadPool, generation: int) -> None:
        self._pool = pool
        self._generation = generation

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        def write(connection: sqlite3.Connection) -> tuple[WriteResult, ...]:
            with transaction(connection):
                self._check_exists(connection)
                return tuple(
                    write_document(connection, self._generation, document) for document in documents
                )

        return await self._pool.run("rebuild", write)

    async def finish(self) -> None:
        def finish(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                self._check_exists(connection)
                generations.promote(connection, self._generation)

        await self._pool.run("rebuild", finish)

    async def rollback(self) -> None:
        """Remove the generation unless it was finished. If that fails, the next rebuild removes it."""

        def rollback(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                if self._generation in generations.building(connection):
                    generations.remove(connection, self._generation)

        try:
            await self._pool.run("rebuild", rollback)
        except SearchUnavailable as error:
            # Not raised: the caller must get the error that ended the rebuild.
            _log.warning("search index left behind; the next rebuild deletes it", error=str(error))

    def _check_exists(self, connection: sqlite3.Connection) -> None:
        if self._generation not in generations.building(connection):
            raise SearchUnavailable("The index was deleted or rebuilt by another process meanwhile")


@asynccontextmanager
async def rebuilding(pool: SqliteThreadPool, path: Path) -> AsyncIterator[SqliteRebuild]:
    """Run one rebuild at a time. A file lock guards it, which a killed process releases."""
    lock = await asyncio.to_thread(_lock, path.with_name(f"{path.name}-rebuild"))
    try:
        rebuild = SqliteRebuild(pool, await pool.run("rebuild", _start))
        try:
            yield rebuild
        finally:
            await rebuild.rollback()
    finally:
        os.close(lock)


def _start(connection: sqlite3.Connection) -> int:
    with transaction(connection):
        return generations.start_rebuild(connection)


def _lock(path: Path) -> int:
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SearchUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SearchUnavailable(
            f"Another rebuild of the index is running and holds {path}"
        ) from None
    return lock

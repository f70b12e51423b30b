"""Writes documents."""

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from core.search.document import SearchDocument
from core.search.engine import HasImages, WriteResult
from core.search.metrics import initialise_calls
from core.search.sqlite import generations
from core.search.sqlite.documents import write_document
from core.search.sqlite.file import transaction
from core.search.sqlite.rebuild import SqliteRebuild, rebuilding
from core.search.sqlite.thread_pool import SqliteThreadPool


class SqliteWriter:
    def __init__(self, pool: SqliteThreadPool, path: Path, has_images: HasImages) -> None:
        initialise_calls("prepare", "inspect", "write")
        self._pool = pool
        self._path = path
        self._images_exist = has_images

    async def prepare(self) -> None:
        """Every call creates a missing file; this one also checks whether it is incomplete."""
        await self._check_incomplete("prepare")

    async def incomplete(self) -> bool:
        return await self._check_incomplete("inspect")

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        def write(connection: sqlite3.Connection) -> tuple[WriteResult, ...]:
            with transaction(connection):
                return _write(connection, documents)

        return await self._pool.run("write", write)

    async def refresh(self) -> None:
        """Later transactions see all writes, so this only checks that the file can be read."""
        await self._pool.run("refresh", generations.current)

    def rebuild(self) -> AbstractAsyncContextManager[SqliteRebuild]:
        return rebuilding(self._pool, self._path)

    async def close(self) -> None:
        await self._pool.close()

    async def _check_incomplete(self, operation: str) -> bool:
        """Any call may have created the file, also after it was deleted. The first check of a file is stored in it."""
        known = await self._pool.run(operation, generations.incomplete)
        if known is not None:
            return known
        incomplete = await self._images_exist()

        def mark(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                return generations.mark_incomplete(connection, incomplete)

        return await self._pool.run(operation, mark)


def _write(
    connection: sqlite3.Connection, documents: Sequence[SearchDocument]
) -> tuple[WriteResult, ...]:
    """Write into the current generation and into those of rebuilds; return the results of the current one."""
    written = tuple(
        write_document(connection, generations.current(connection), each) for each in documents
    )
    for generation in generations.building(connection):
        for document in documents:
            write_document(connection, generation, document)
    return written

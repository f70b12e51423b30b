"""Writes into the file."""

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from core.search.document import SearchDocument
from core.search.engine import Written
from core.search.sqlite import generations
from core.search.sqlite.calls import Calls
from core.search.sqlite.file import transaction
from core.search.sqlite.rebuild import SqliteRebuild, rebuilding
from core.search.sqlite.rows import put


class SqliteWriter:
    def __init__(self, calls: Calls, path: Path) -> None:
        self._calls = calls
        self._path = path

    async def prepare(self) -> None:
        """Every call makes what is missing; this one does nothing else."""
        await self.ping()

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[Written, ...]:
        def write(connection: sqlite3.Connection) -> tuple[Written, ...]:
            with transaction(connection):
                return _write(connection, documents)

        return await self._calls.run("write", write)

    async def refresh(self) -> None:
        """Whatever was written is seen by every transaction that begins later."""
        await self.ping()

    async def ping(self) -> None:
        await self._calls.run("ping", generations.current)

    def rebuild(self) -> AbstractAsyncContextManager[SqliteRebuild]:
        return rebuilding(self._calls, self._path)

    async def close(self) -> None:
        await self._calls.close()


def _write(
    connection: sqlite3.Connection, documents: Sequence[SearchDocument]
) -> tuple[Written, ...]:
    """Also where a rebuild is under way, so that nothing is missing when it ends; what counts is the current one."""
    written = tuple(put(connection, generations.current(connection), each) for each in documents)
    for generation in generations.building(connection):
        for document in documents:
            put(connection, generation, document)
    return written

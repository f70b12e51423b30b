"""Writes into the file."""

import sqlite3
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from core.search.document import SearchDocument
from core.search.engine import HasImages, WriteResult
from core.search.sqlite import generations
from core.search.sqlite.documents import put
from core.search.sqlite.file import transaction
from core.search.sqlite.rebuild import SqliteRebuild, rebuilding
from core.search.sqlite.thread_pool import Calls


class SqliteWriter:
    def __init__(self, calls: Calls, path: Path, has_images: HasImages) -> None:
        self._calls = calls
        self._path = path
        self._images_exist = has_images

    async def prepare(self) -> None:
        """Every call makes what is missing; this one does nothing else but to judge it."""
        await self._judged("prepare")

    async def incomplete(self) -> bool:
        return await self._judged("inspect")

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        def write(connection: sqlite3.Connection) -> tuple[WriteResult, ...]:
            with transaction(connection):
                return _write(connection, documents)

        return await self._calls.run("write", write)

    async def refresh(self) -> None:
        """Whatever was written is seen by every transaction that begins later."""
        await self._calls.run("refresh", generations.current)

    def rebuild(self) -> AbstractAsyncContextManager[SqliteRebuild]:
        return rebuilding(self._calls, self._path)

    async def close(self) -> None:
        await self._calls.close()

    async def _judged(self, operation: str) -> bool:
        """A reader may have made the file, and a file that was deleted comes again with any call."""
        known = await self._calls.run(operation, generations.incomplete)
        if known is not None:
            return known
        verdict = await self._images_exist()

        def judge(connection: sqlite3.Connection) -> bool:
            with transaction(connection):
                return generations.judge(connection, verdict)

        return await self._calls.run(operation, judge)


def _write(
    connection: sqlite3.Connection, documents: Sequence[SearchDocument]
) -> tuple[WriteResult, ...]:
    """Also where a rebuild is under way, so that nothing is missing when it ends; what counts is the current one."""
    written = tuple(put(connection, generations.current(connection), each) for each in documents)
    for generation in generations.building(connection):
        for document in documents:
            put(connection, generation, document)
    return written

"""A new generation beside the current one."""

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
from core.search.sqlite.documents import put
from core.search.sqlite.file import transaction
from core.search.sqlite.thread_pool import Calls

_log = structlog.get_logger()


class SqliteRebuild:
    """Writers write into its generation too, from its first moment: where they were later, they were right."""

    def __init__(self, calls: Calls, generation: int) -> None:
        self._calls = calls
        self._generation = generation

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        def write(connection: sqlite3.Connection) -> tuple[WriteResult, ...]:
            with transaction(connection):
                self._require(connection)
                return tuple(put(connection, self._generation, document) for document in documents)

        return await self._calls.run("rebuild", write)

    async def finish(self) -> None:
        def finish(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                self._require(connection)
                generations.promote(connection, self._generation)

        await self._calls.run("rebuild", finish)

    async def leave(self) -> None:
        """Remove the generation, unless it was finished; what cannot be removed now, the next rebuild removes."""

        def leave(connection: sqlite3.Connection) -> None:
            with transaction(connection):
                if self._generation in generations.building(connection):
                    generations.remove(connection, self._generation)

        try:
            await self._calls.run("rebuild", leave)
        except SearchUnavailable as error:
            # Whatever ended the rebuild is what its owner is to hear of.
            _log.warning("a rebuild is left behind", error=str(error))

    def _require(self, connection: sqlite3.Connection) -> None:
        if self._generation not in generations.building(connection):
            raise SearchUnavailable("The index was deleted or rebuilt by somebody else meanwhile")


@asynccontextmanager
async def rebuilding(calls: Calls, path: Path) -> AsyncIterator[SqliteRebuild]:
    """One at a time: a lock tells, also of a rebuild that was killed, whether one is under way."""
    lock = await asyncio.to_thread(_lock, path.with_name(f"{path.name}-rebuild"))
    try:
        rebuild = SqliteRebuild(calls, await calls.run("rebuild", _begin))
        try:
            yield rebuild
        finally:
            await rebuild.leave()
    finally:
        os.close(lock)


def _begin(connection: sqlite3.Connection) -> int:
    with transaction(connection):
        return generations.begin(connection)


def _lock(path: Path) -> int:
    """An open file that is locked until it is closed."""
    try:
        lock = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SearchUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SearchUnavailable(
            f"Another rebuild of the index is under way, which holds {path}"
        ) from None
    return lock

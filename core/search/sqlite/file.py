"""The file of an index: found, made where there is none, and recognised."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import SearchUnavailable
from core.search import similarity
from core.search.sqlite.errors import again
from core.search.sqlite.generations import first
from core.search.sqlite.schema import APPLICATION_ID, GENERATIONS, SCHEMA_VERSION

_POLL_S = 0.01
_CACHE_KIB = 16 * 1024
"""Memory that a connection may keep pages in."""

Identity = tuple[int, int]


class IndexFile:
    """Whoever comes first, reader or writer, makes it: without documents it is an empty index."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def identity(self) -> Identity | None:
        """Tells this file from another one in its place."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def connect(self, seconds: float) -> sqlite3.Connection:
        """`seconds` is the longest wait for another process. Raises sqlite3.Error or SearchUnavailable."""
        # A thread at a time has a connection, but not always the same one.
        connection = sqlite3.connect(
            self.path, timeout=seconds, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare(connection, seconds)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection, seconds: float) -> None:
        # In one transaction, or it would see half of what another process makes at this moment.
        with transaction(connection, writes=False):
            made = self._ours(connection)
        if not made:
            _use_wal(connection, seconds)
            with transaction(connection):
                # The other process may have been faster.
                if not self._ours(connection):
                    _create(connection)
        # What is overwritten need not be wiped from the disk; Debian's SQLite would.
        connection.execute("PRAGMA secure_delete = OFF")
        # A message is deleted once its document is written: so this must outlive a loss of power.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.create_function("distance", 2, _distance, deterministic=True)

    def _ours(self, connection: sqlite3.Connection) -> bool:
        """Whether it is an index; False where it is empty. Raises SearchUnavailable where it is something else."""
        application = _number(connection, "PRAGMA application_id")
        version = _number(connection, "PRAGMA user_version")
        if application == APPLICATION_ID:
            if version != SCHEMA_VERSION:
                raise SearchUnavailable(
                    f"{self.path} has schema {version}, and this version reads and writes schema {SCHEMA_VERSION}: "
                    f"{again(self.path)}"
                )
            return True
        if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
            raise SearchUnavailable(f"{self.path} belongs to another application")
        return False


@contextmanager
def transaction(connection: sqlite3.Connection, *, writes: bool = True) -> Iterator[None]:
    """One transaction: all of what is done in it, or nothing."""
    # To begin as a reader and then write would fail where another process wrote in between.
    connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """SQLite does not wait by itself where two processes do this at once."""
    deadline = time.monotonic() + seconds
    while (mode := _wal(connection)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if mode != "wal":
        raise SearchUnavailable(
            "The file of SEARCH_URL is held by others, or cannot be shared where it is"
        )


def _wal(connection: sqlite3.Connection) -> str | None:
    """The mode that the file is in afterwards; None where somebody else holds it."""
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return None
    return str(mode)


def _create(connection: sqlite3.Connection) -> None:
    for statement in GENERATIONS:
        connection.execute(statement)
    first(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _number(connection: sqlite3.Connection, statement: str) -> int:
    (number,) = connection.execute(statement).fetchone()
    return int(number)


def _distance(one: str | None, other: str) -> int | None:
    return similarity.distance(one, other) if one else None

"""Opens the file of an index, and creates it if it is missing or empty."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import SearchUnavailable
from core.search import similarity
from core.search.sqlite.errors import rebuild_hint
from core.search.sqlite.generations import create_first
from core.search.sqlite.schema import APPLICATION_ID, GENERATIONS, SCHEMA_VERSION

_POLL_S = 0.01
_CACHE_KIB = 16 * 1024
"""Page cache of a connection."""

Identity = tuple[int, int]
"""Device and inode."""


class IndexFile:
    """The first process, reader or writer, creates the file, with an empty index."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def identity(self) -> Identity | None:
        """Return a value that changes if another file takes this one's place; None without a file."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_dev, stat.st_ino

    def connect(self, seconds: float) -> sqlite3.Connection:
        """Open a connection that waits up to `seconds` for locks. Raises sqlite3.Error or SearchUnavailable."""
        # One thread at a time uses a connection, but not always the same thread.
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
        # In one transaction, so that it does not see a half-created index of another process.
        with transaction(connection, writes=False):
            exists = self._is_index(connection)
        if not exists:
            _use_wal(connection, seconds)
            with transaction(connection):
                # Another process may have created it meanwhile.
                if not self._is_index(connection):
                    _create(connection)
        # Deleted content need not be overwritten with zeros; Debian's SQLite does so by default.
        connection.execute("PRAGMA secure_delete = OFF")
        # The indexer deletes a message once its document is written, so the write must survive a power loss.
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.create_function("distance", 2, _distance, deterministic=True)

    def _is_index(self, connection: sqlite3.Connection) -> bool:
        """Return True for an index and False for an empty file. Raises SearchUnavailable for any other file."""
        application = _number(connection, "PRAGMA application_id")
        version = _number(connection, "PRAGMA user_version")
        if application == APPLICATION_ID:
            if version != SCHEMA_VERSION:
                raise SearchUnavailable(
                    f"{self.path} has schema {version}, and this program needs schema {SCHEMA_VERSION}: "
                    f"{rebuild_hint(self.path)}"
                )
            return True
        if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
            raise SearchUnavailable(f"{self.path} belongs to another application")
        return False


@contextmanager
def transaction(connection: sqlite3.Connection, *, writes: bool = True) -> Iterator[None]:
    # A transaction that begins as a reader cannot write if another process wrote meanwhile.
    connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _use_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """Retry, because this pragma ignores the timeout of the connection if two processes run it at once."""
    deadline = time.monotonic() + seconds
    while (mode := _set_wal(connection)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    if mode != "wal":
        raise SearchUnavailable(
            "The file of SEARCH_URL is locked by others, or its file system does not support sharing"
        )


def _set_wal(connection: sqlite3.Connection) -> str | None:
    """Return the journal mode afterwards; None if another process holds the lock."""
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
    create_first(connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _number(connection: sqlite3.Connection, statement: str) -> int:
    (number,) = connection.execute(statement).fetchone()
    return int(number)


def _distance(one: str | None, other: str) -> int | None:
    return similarity.distance(one, other) if one else None

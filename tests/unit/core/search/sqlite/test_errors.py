"""SQLite's errors are translated into sentences for the operator."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.search.sqlite.errors import to_search_error

PATH = Path("/var/search.db")


def error(code: str, message: str = "as SQLite says") -> sqlite3.Error:
    made = sqlite3.OperationalError(message)
    made.sqlite_errorname = code
    return made


@pytest.mark.parametrize(
    ("sqlite_error", "sentence"),
    [
        (error("SQLITE_BUSY"), "is locked by another process for too long"),
        (error("SQLITE_BUSY_SNAPSHOT"), "is locked by another process for too long"),
        (error("SQLITE_CANTOPEN_ISDIR"), "cannot be opened: its folder must exist"),
        (error("SQLITE_READONLY_DIRECTORY"), "cannot be written"),
        (error("SQLITE_NOTADB"), "is not an SQLite file"),
        (error("SQLITE_INTERRUPT"), "takes longer than SEARCH_TIMEOUT_S allows"),
        (error("SQLITE_CORRUPT_VTAB"), "is damaged; delete /var/search.db, /var/search.db-wal and"),
        (error("SQLITE_IOERR_READ"), "cannot be used: as SQLite says"),
        (sqlite3.ProgrammingError("of Python alone"), "cannot be used: of Python alone"),
    ],
)
def test_the_sentence_names_the_file_and_the_cause(
    sqlite_error: sqlite3.Error, sentence: str
) -> None:
    """Also for extended error codes."""
    assert str(to_search_error(PATH, sqlite_error)).startswith(f"{PATH} {sentence}")


def test_a_full_disk() -> None:
    """The error is raised by SQLite itself."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.Error) as raised:
            connection.execute("CREATE TABLE more (text)")
    assert str(to_search_error(PATH, raised.value)) == f"{PATH} cannot grow: the disk is full"


def test_sqlite_without_full_text_search() -> None:
    """The error is raised by SQLite itself, for another missing module than FTS5."""
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError) as raised,
    ):
        connection.execute("CREATE VIRTUAL TABLE words USING fts55 (words)")
    missing = sqlite3.OperationalError(str(raised.value).replace("fts55", "fts5"))
    assert "is built without FTS5" in str(to_search_error(PATH, missing))

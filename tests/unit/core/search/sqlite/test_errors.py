"""What SQLite complains of is told in a sentence that helps."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from core.search.sqlite.errors import unavailable

PATH = Path("/var/search.db")


def error(code: str, message: str = "as SQLite says") -> sqlite3.Error:
    made = sqlite3.OperationalError(message)
    made.sqlite_errorname = code
    return made


@pytest.mark.parametrize(
    ("complaint", "sentence"),
    [
        (error("SQLITE_BUSY"), "is held by another process for too long"),
        (error("SQLITE_BUSY_SNAPSHOT"), "is held by another process for too long"),
        (error("SQLITE_CANTOPEN_ISDIR"), "cannot be opened: its folder must exist"),
        (error("SQLITE_READONLY_DIRECTORY"), "cannot be written"),
        (error("SQLITE_NOTADB"), "is not a file of SQLite"),
        (error("SQLITE_INTERRUPT"), "takes longer than SEARCH_TIMEOUT_S allows"),
        (error("SQLITE_CORRUPT_VTAB"), "is damaged; delete /var/search.db, /var/search.db-wal and"),
        (error("SQLITE_IOERR_READ"), "cannot be used: as SQLite says"),
        (sqlite3.ProgrammingError("of Python alone"), "cannot be used: of Python alone"),
    ],
)
def test_a_complaint_names_the_file_and_what_is_the_matter(
    complaint: sqlite3.Error, sentence: str
) -> None:
    """Also for codes that say more than another one."""
    assert str(unavailable(PATH, complaint)).startswith(f"{PATH} {sentence}")


def test_a_full_disk_is_told_of() -> None:
    """As SQLite itself complains of it."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.Error) as raised:
            connection.execute("CREATE TABLE more (text)")
    assert str(unavailable(PATH, raised.value)) == f"{PATH} cannot grow: the disk is full"


def test_a_sqlite_without_full_text_search_is_told_of() -> None:
    """The complaint is SQLite's own about a module that is not there; here another one than FTS5 is missing."""
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(sqlite3.OperationalError) as raised,
    ):
        connection.execute("CREATE VIRTUAL TABLE words USING fts55 (words)")
    missing = sqlite3.OperationalError(str(raised.value).replace("fts55", "fts5"))
    assert "is built without FTS5" in str(unavailable(PATH, missing))

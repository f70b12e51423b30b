"""Translates SQLite's errors into sentences for the operator. Pure."""

import sqlite3
from pathlib import Path

from core.errors import SearchUnavailable

_SENTENCES = {
    "SQLITE_CANTOPEN": "cannot be opened: its folder must exist, and this process must be allowed to write there",
    "SQLITE_READONLY": "cannot be written: this process must be allowed to write it and its folder",
    "SQLITE_NOTADB": "is not an SQLite file; SEARCH_URL names another file, or the file is damaged",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_FULL": "cannot grow: the disk is full",
    "SQLITE_BUSY": "is locked by another process for too long",
    "SQLITE_INTERRUPT": "takes longer than SEARCH_TIMEOUT_S allows",
}


def rebuild_hint(path: Path) -> str:
    """Say how to rebuild the index. SQLite would use the old -wal and -shm files with the new file."""
    return f"delete {path}, {path}-wal and {path}-shm, and run `imageservice reindex`"


def to_search_error(path: Path, error: sqlite3.Error) -> SearchUnavailable:
    """Translate an error. An extended code, such as SQLITE_BUSY_SNAPSHOT, counts as its primary code."""
    if "no such module: fts5" in str(error):
        return SearchUnavailable(
            f"Python's SQLite {sqlite3.sqlite_version} is built without FTS5, which an index needs"
        )
    name = getattr(error, "sqlite_errorname", "")
    code = "_".join(name.split("_")[:2])
    sentence = _SENTENCES.get(code, f"cannot be used: {error}")
    if code == "SQLITE_CORRUPT":
        sentence += f"; {rebuild_hint(path)}"
    return SearchUnavailable(f"{path} {sentence}")

"""What SQLite complains of, in a sentence for whoever runs the service. Pure."""

import sqlite3
from pathlib import Path

from core.errors import SearchUnavailable

_SENTENCES = {
    "SQLITE_CANTOPEN": "cannot be opened: its folder must exist, and this process must be allowed to write there",
    "SQLITE_READONLY": "cannot be written: this process must be allowed to write it and its folder",
    "SQLITE_NOTADB": "is not a file of SQLite; SEARCH_URL names something else, or it is damaged",
    "SQLITE_CORRUPT": "is damaged",
    "SQLITE_FULL": "cannot grow: the disk is full",
    "SQLITE_BUSY": "is held by another process for too long",
    "SQLITE_INTERRUPT": "takes longer than SEARCH_TIMEOUT_S allows",
}


def again(path: Path) -> str:
    """How an index is begun anew. SQLite's own files must go with it, as they would be taken for the new file's."""
    return f"delete {path}, {path}-wal and {path}-shm, and run `imageservice reindex`"


def unavailable(path: Path, error: sqlite3.Error) -> SearchUnavailable:
    """SQLite's extended codes, SQLITE_BUSY_SNAPSHOT for one, count as what they extend."""
    if "no such module: fts5" in str(error):
        return SearchUnavailable(
            f"Python's SQLite {sqlite3.sqlite_version} is built without FTS5, which an index needs"
        )
    told = getattr(error, "sqlite_errorname", "")
    code = "_".join(told.split("_")[:2])
    sentence = _SENTENCES.get(code, f"cannot be used: {error}")
    if code == "SQLITE_CORRUPT":
        sentence += f"; {again(path)}"
    return SearchUnavailable(f"{path} {sentence}")

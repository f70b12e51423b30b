"""Documents in the tables of a generation."""

# Names of tables and columns are put into the text, and are ours; values never are.
# ruff: noqa: S608

import sqlite3

from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.similarity import bands
from core.search.sqlite.schema import BAND_COLUMNS, names, own

_STALE = WriteResult(WriteStatus.STALE)
_INDEXED = WriteResult(WriteStatus.INDEXED)


def put(connection: sqlite3.Connection, generation: int, document: SearchDocument) -> WriteResult:
    """Within the caller's transaction. A document that cannot be kept leaves no trace."""
    connection.execute("SAVEPOINT document")
    try:
        written = _put(connection, generation, document)
    except (OverflowError, UnicodeEncodeError) as error:
        # A number beyond 64 bits, or half of a surrogate pair.
        connection.execute("ROLLBACK TO document")
        written = WriteResult(WriteStatus.REJECTED, str(error))
    connection.execute("RELEASE document")
    return written


def _put(connection: sqlite3.Connection, generation: int, document: SearchDocument) -> WriteResult:
    documents, labels, words = names(generation)
    known = connection.execute(
        f"SELECT id, revision FROM {documents} WHERE image_id = ?", (document.image_id,)
    ).fetchone()
    if known is not None:
        row, revision = known
        if document.revision < revision:
            return _STALE
        connection.execute(f"DELETE FROM {documents} WHERE id = ?", (row,))
        connection.execute(f"DELETE FROM {labels} WHERE document = ?", (row,))
        connection.execute(f"DELETE FROM {words} WHERE rowid = ?", (row,))
    columns = _columns(document)
    row = connection.execute(
        f"INSERT INTO {documents} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        tuple(columns.values()),
    ).lastrowid
    connection.executemany(
        f"INSERT INTO {labels} VALUES (?, ?, ?, ?)",
        [(document.customer_id, *label, row) for label in document.labels.items()],
    )
    kept = " ".join(own(document.customer_id, word) for word in document.words)
    connection.execute(f"INSERT INTO {words} (rowid, words) VALUES (?, ?)", (row, kept))
    return _INDEXED


def _columns(document: SearchDocument) -> dict[str, str | int | None]:
    columns: dict[str, str | int | None] = {
        "image_id": document.image_id,
        "customer_id": document.customer_id,
        "revision": document.revision,
        "created_at": document.created_at,
        "format": document.format,
        "width": document.width,
        "height": document.height,
        "bytes": document.bytes,
        # What an image does not have is not found, not even by an empty text.
        "color": document.color,
        "camera": document.camera or None,
        "origin_host": document.origin_host or None,
        "hash": document.perceptual_hash or None,
    }
    if document.perceptual_hash:
        columns |= zip(BAND_COLUMNS, bands(document.perceptual_hash), strict=True)
    return columns

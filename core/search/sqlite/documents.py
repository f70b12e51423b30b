"""Writes documents into the tables of a generation."""

# Only table and column names of ours are formatted into SQL; values are bound.
# ruff: noqa: S608

import sqlite3

from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from core.search.similarity import bands
from core.search.sqlite.schema import BAND_COLUMNS, customer_term, table_names

_STALE = WriteResult(WriteStatus.STALE)
_INDEXED = WriteResult(WriteStatus.INDEXED)


def write_document(
    connection: sqlite3.Connection, generation: int, document: SearchDocument
) -> WriteResult:
    """Write a document in the caller's transaction. A rejected document changes nothing."""
    connection.execute("SAVEPOINT document")
    try:
        result = _replace(connection, generation, document)
    except (OverflowError, UnicodeEncodeError) as error:
        # An integer of more than 64 bits, or a lone surrogate.
        connection.execute("ROLLBACK TO document")
        result = WriteResult(WriteStatus.REJECTED, str(error))
    connection.execute("RELEASE document")
    return result


def _replace(
    connection: sqlite3.Connection, generation: int, document: SearchDocument
) -> WriteResult:
    documents, labels, words = table_names(generation)
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
    terms = " ".join(customer_term(document.customer_id, word) for word in document.words)
    connection.execute(f"INSERT INTO {words} (rowid, words) VALUES (?, ?)", (row, terms))
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
        # NULL, so that an empty value in a query does not match.
        "color": document.color,
        "camera": document.camera or None,
        "origin_host": document.origin_host or None,
        "hash": document.perceptual_hash or None,
    }
    if document.perceptual_hash:
        columns |= zip(BAND_COLUMNS, bands(document.perceptual_hash), strict=True)
    return columns

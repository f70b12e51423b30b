"""The generations in a file: one is current and read, another one may be in a rebuild."""

import sqlite3

from core.search.sqlite.schema import BUILDING, CURRENT, table_names, tables


def current(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute(
        "SELECT number FROM generations WHERE state = ?", (CURRENT,)
    ).fetchone()
    return int(number)


def building(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Return the generations of rebuilds: at most one is running, and killed rebuilds left the others."""
    rows = connection.execute("SELECT number FROM generations WHERE state = ?", (BUILDING,))
    return tuple(number for (number,) in rows)


def start_rebuild(connection: sqlite3.Connection) -> int:
    """Create an empty generation in the caller's transaction, and remove those of killed rebuilds."""
    for abandoned in building(connection):
        remove(connection, abandoned)
    return _create(connection, BUILDING, incomplete=False)


def create_first(connection: sqlite3.Connection) -> None:
    """Create the empty generation of a new file. Whether it is incomplete is not known yet."""
    _create(connection, CURRENT, incomplete=None)


def incomplete(connection: sqlite3.Connection) -> bool | None:
    """Return whether the current generation lacks images that are older than it; None if it is not known yet."""
    (mark,) = connection.execute(
        "SELECT incomplete FROM generations WHERE state = ?", (CURRENT,)
    ).fetchone()
    return None if mark is None else bool(mark)


def mark_incomplete(connection: sqlite3.Connection, verdict: bool) -> bool:
    """Store whether the current generation is incomplete, unless another process did so, and return what is stored."""
    connection.execute(
        "UPDATE generations SET incomplete = ? WHERE state = ? AND incomplete IS NULL",
        (verdict, CURRENT),
    )
    return bool(incomplete(connection))


def _create(connection: sqlite3.Connection, state: str, *, incomplete: bool | None) -> int:
    connection.execute(
        "INSERT INTO generations (state, incomplete) VALUES (?, ?)", (state, incomplete)
    )
    (number,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    for statement in tables(number):
        connection.execute(statement)
    return int(number)


def promote(connection: sqlite3.Connection, generation: int) -> None:
    """Replace the current generation, in the caller's transaction."""
    remove(connection, current(connection))
    connection.execute("UPDATE generations SET state = ? WHERE number = ?", (CURRENT, generation))


def remove(connection: sqlite3.Connection, generation: int) -> None:
    for table in table_names(generation):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("DELETE FROM generations WHERE number = ?", (generation,))

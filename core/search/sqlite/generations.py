"""Generations of the file: which one is read, which one is being built."""

import sqlite3

from core.search.sqlite.schema import BUILDING, CURRENT, names, tables


def current(connection: sqlite3.Connection) -> int:
    """Where readers look."""
    (number,) = connection.execute(
        "SELECT number FROM generations WHERE state = ?", (CURRENT,)
    ).fetchone()
    return int(number)


def building(connection: sqlite3.Connection) -> tuple[int, ...]:
    """Those of rebuilds, of which one at most is under way; others were left behind by killed ones."""
    rows = connection.execute("SELECT number FROM generations WHERE state = ?", (BUILDING,))
    return tuple(number for (number,) in rows)


def begin(connection: sqlite3.Connection) -> int:
    """Make an empty one, in the caller's transaction, and remove all that were left behind."""
    for left_behind in building(connection):
        remove(connection, left_behind)
    return _add(connection, BUILDING, incomplete=False)


def first(connection: sqlite3.Connection) -> None:
    """Make the one of a new file, which is empty; nobody knows yet whether it should be."""
    _add(connection, CURRENT, incomplete=None)


def incomplete(connection: sqlite3.Connection) -> bool | None:
    """Whether the current one lacks what was there before it; None where nobody has said so yet."""
    (mark,) = connection.execute(
        "SELECT incomplete FROM generations WHERE state = ?", (CURRENT,)
    ).fetchone()
    return None if mark is None else bool(mark)


def judge(connection: sqlite3.Connection, verdict: bool) -> bool:
    """Say so, in the caller's transaction, and answer what holds: where somebody was faster, that is their word."""
    connection.execute(
        "UPDATE generations SET incomplete = ? WHERE state = ? AND incomplete IS NULL",
        (verdict, CURRENT),
    )
    return bool(incomplete(connection))


def _add(connection: sqlite3.Connection, state: str, *, incomplete: bool | None) -> int:
    connection.execute(
        "INSERT INTO generations (state, incomplete) VALUES (?, ?)", (state, incomplete)
    )
    (number,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    for statement in tables(number):
        connection.execute(statement)
    return int(number)


def promote(connection: sqlite3.Connection, generation: int) -> None:
    """Put it in the current one's place, in the caller's transaction."""
    remove(connection, current(connection))
    connection.execute("UPDATE generations SET state = ? WHERE number = ?", (CURRENT, generation))


def remove(connection: sqlite3.Connection, generation: int) -> None:
    for table in names(generation):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("DELETE FROM generations WHERE number = ?", (generation,))

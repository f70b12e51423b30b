"""What is in the file. Pure.

Documents are in the tables of a generation, whose names end in its number. One generation is current; readers look
there. A rebuild fills another one, and every writer writes into both, so that at the end the two change places and
nothing is missing.
"""

import hashlib

from core.search.similarity import BANDS

APPLICATION_ID = 0x696D6778
"""Tells an index from other files of SQLite ("imgx")."""
SCHEMA_VERSION = 2
"""Raise it with every change here: a file of another version is refused, deleted by its owner, and built again."""

CURRENT = "current"
BUILDING = "building"

BAND_COLUMNS = tuple(f"band{number}" for number in range(BANDS))

GENERATIONS = (
    # `incomplete` is NULL in a new file until somebody who knows whether there are images has come by.
    """CREATE TABLE generations (
        number INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, incomplete INTEGER
    )""",
    f"CREATE UNIQUE INDEX one_current ON generations (state) WHERE state = '{CURRENT}'",
)


def tables(generation: int) -> tuple[str, ...]:
    """Make the tables of a generation.

    Words are told apart by whoever writes them: `ascii` takes every run of letters between our spaces as it is.
    """
    documents, labels, words = names(generation)
    return (
        f"""CREATE TABLE {documents} (
            id INTEGER PRIMARY KEY, image_id TEXT NOT NULL UNIQUE, customer_id TEXT NOT NULL, revision INTEGER NOT NULL,
            created_at INTEGER NOT NULL, format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
            bytes INTEGER NOT NULL, color TEXT, camera TEXT, origin_host TEXT, hash TEXT,
            {", ".join(f"{band} INTEGER" for band in BAND_COLUMNS)}
        )""",
        # Everything that is asked of all images of a customer is in it, so that no row need be fetched for that.
        f"""CREATE INDEX {documents}_newest ON {documents} (
            customer_id, created_at DESC, image_id, format, color, camera, origin_host, width, height, bytes
        )""",
        *(
            f"CREATE INDEX {documents}_{band} ON {documents} (customer_id, {band})"
            for band in BAND_COLUMNS
        ),
        f"""CREATE TABLE {labels} (
            customer_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, document INTEGER NOT NULL,
            PRIMARY KEY (customer_id, key, value, document)
        ) WITHOUT ROWID""",
        f"CREATE INDEX {labels}_document ON {labels} (document)",
        f"CREATE VIRTUAL TABLE {words} USING fts5 (words, tokenize = 'ascii', detail = none, columnsize = 0)",
    )


def own(customer_id: str, word: str) -> str:
    """A word of one customer: what others have is not even looked through, so no time that it takes tells of it."""
    return hashlib.blake2b(customer_id.encode(), digest_size=8).hexdigest() + word


def names(generation: int) -> tuple[str, str, str]:
    """The tables of documents, of their labels and of their words."""
    return f"documents_{generation}", f"labels_{generation}", f"words_{generation}"

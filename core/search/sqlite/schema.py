"""The tables in the file. Pure.

Documents are in the tables of a generation; the table names end in its number. Readers use the current generation. A
rebuild fills another one, and writers write into both, so the rebuilt generation lacks nothing when it becomes current.
"""

import hashlib

from core.search.similarity import BANDS

APPLICATION_ID = 0x696D6778
"""Distinguishes an index from other SQLite files ("imgx")."""
SCHEMA_VERSION = 2
"""Increment it with every change here: a file of another version is rejected, and its owner deletes and rebuilds it."""

CURRENT = "current"
BUILDING = "building"

BAND_COLUMNS = tuple(f"band{number}" for number in range(BANDS))

GENERATIONS = (
    # `incomplete` is NULL in a new file until a writer has checked whether there are images.
    """CREATE TABLE generations (
        number INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, incomplete INTEGER
    )""",
    f"CREATE UNIQUE INDEX one_current ON generations (state) WHERE state = '{CURRENT}'",
)


def tables(generation: int) -> tuple[str, ...]:
    """Return the statements that create the tables of a generation.

    The tokenizer `ascii` splits at our spaces only: core.search.tokenizer has already split the text.
    """
    documents, labels, words = table_names(generation)
    return (
        f"""CREATE TABLE {documents} (
            id INTEGER PRIMARY KEY, image_id TEXT NOT NULL UNIQUE, customer_id TEXT NOT NULL, revision INTEGER NOT NULL,
            created_at INTEGER NOT NULL, format TEXT NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
            bytes INTEGER NOT NULL, color TEXT, camera TEXT, origin_host TEXT, hash TEXT,
            {", ".join(f"{band} INTEGER" for band in BAND_COLUMNS)}
        )""",
        # A covering index for queries over all images of a customer.
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


def customer_term(customer_id: str, word: str) -> str:
    """Return the term of a word of one customer. Other customers' words are not scanned, so timing leaks nothing."""
    return hashlib.blake2b(customer_id.encode(), digest_size=8).hexdigest() + word


def table_names(generation: int) -> tuple[str, str, str]:
    """Return the tables of the documents, of their labels and of their words."""
    return f"documents_{generation}", f"labels_{generation}", f"words_{generation}"

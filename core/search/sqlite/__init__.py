"""The index in one file, for a machine where no search engine runs: SQLite with its full-text search, FTS5.

Several processes share the file, which is in WAL mode: readers do not wait for writers. It must be on a disk of this
machine, as SQLite's locks and shared memory do not work over a network.
"""

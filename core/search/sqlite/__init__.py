"""The SQLite engine, for development and tests: the whole index in one file, with the full-text search FTS5.

It is not for production: it serves one machine and has one writer at a time. `make demo`, `imageservice up` and the
tests use it if no OpenSearch runs. Several processes share the file in WAL mode, so readers do not wait for writers.
The file must be on a local disk, because SQLite's locks and shared memory do not work over a network.
"""

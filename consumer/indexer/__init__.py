"""The indexer: keeps the search index up to date with the tables."""

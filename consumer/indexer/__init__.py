"""The indexer, a process beside the consumers: it keeps the index of search up with the tables, and builds it anew."""

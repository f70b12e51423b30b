"""The OpenSearch engine: documents in an index behind an alias, found by filters without ranking."""

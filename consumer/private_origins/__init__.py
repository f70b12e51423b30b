"""Origins that need credentials of the operator, and buckets that consumers may read."""

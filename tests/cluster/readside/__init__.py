"""The read side under kill -9: a real Redis, a real OpenSearch, and all our processes."""

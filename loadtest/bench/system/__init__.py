"""The processes of a benchmark: AWS, servers, consumers, Redis, OpenSearch."""

"""OpenSearch behind the port: an index of documents under an alias, found by filters alone."""

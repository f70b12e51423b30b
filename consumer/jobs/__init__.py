"""Operators' jobs: reconcile, retry-failed, reindex."""

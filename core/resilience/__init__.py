"""Backoff, retries, circuit breakers and rate limits."""

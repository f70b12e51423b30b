"""Backoff and circuit breakers."""

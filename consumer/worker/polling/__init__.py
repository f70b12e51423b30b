"""Polling of the lanes: receives messages, and decides which of them run."""

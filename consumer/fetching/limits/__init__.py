"""Limits of requests to one host or address, learned from how it answers (ADR 21)."""

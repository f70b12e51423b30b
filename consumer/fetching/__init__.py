"""Fetching on a stranger's behalf: one attempt, within limits, to addresses that may be talked to."""

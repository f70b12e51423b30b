"""Dashboards and alerts: read, judged against the metrics that exist, and run against processes that live."""

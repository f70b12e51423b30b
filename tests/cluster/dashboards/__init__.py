"""Dashboards and alerts, checked against the metrics that exist and against running processes."""

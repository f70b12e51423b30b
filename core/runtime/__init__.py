"""The process: logs, metrics, event loop, signals, clock."""

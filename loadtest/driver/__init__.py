"""The parts that all runs of `imageservice-loadtest` share: target, connections, progress, and the report folder."""

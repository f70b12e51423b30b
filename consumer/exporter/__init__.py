"""The queue exporter: queue depths for Prometheus."""

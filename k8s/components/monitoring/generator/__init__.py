"""Definitions of the Grafana dashboards. `python -m k8s.components.monitoring.generator` writes their JSON."""

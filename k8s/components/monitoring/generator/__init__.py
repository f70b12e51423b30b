"""The dashboards, written down briefly: `python -m k8s.components.monitoring.generator` writes their JSON."""

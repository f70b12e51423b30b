"""Panels that every kind of process has: what it takes of its machine, and whether it is prompt."""

from k8s.components.monitoring.generator.panel import Panel, Query, quantiles


def process_panels(selector: str, name: str) -> tuple[Panel, ...]:
    """`selector` is one of panel.SELECTORS; `name` says whose they are."""
    return (
        Panel(
            f"CPU of the {name}",
            "Cores that each process uses. There is no limit; what is above the request is lent by the node.",
            "none",
            (
                Query(
                    f"sum by (pod) (rate(process_cpu_seconds_total{{{selector}}}[$__rate_interval]))",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            f"Memory of the {name}",
            "Resident memory of each process. Above the pod's limit the kernel kills it.",
            "bytes",
            (
                Query(
                    f"sum by (pod) (process_resident_memory_bytes{{{selector}}})",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            f"Event loop of the {name}",
            "How late the event loop runs what is due. Above half a second for long, the CPU is not enough or "
            "something blocks it.",
            "s",
            quantiles("event_loop_lag_seconds", selector, "pod", "{{pod}}"),
        ),
    )

"""Panels of every program: CPU, memory and event loop lag."""

from k8s.components.monitoring.generator.panel import Panel, Query, quantiles


def process_panels(selector: str, name: str) -> tuple[Panel, ...]:
    """Return the panels. `selector` is a placeholder of panel.SELECTORS; `name` is for the titles."""
    return (
        Panel(
            f"CPU of the {name}",
            "Cores that each process uses. There is no CPU limit: a process above its request uses idle CPU of the "
            "node.",
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
            "Resident memory of each process. The kernel kills a process above the limit of its pod.",
            "bytes",
            (
                Query(
                    f"sum by (pod) (process_resident_memory_bytes{{{selector}}})",
                    "{{pod}}",
                ),
            ),
        ),
        Panel(
            f"Event loop lag of the {name}",
            "Delay of callbacks in the event loop. Above 0.5 s for long, the CPU is too small or a call blocks the "
            "loop.",
            "s",
            quantiles("event_loop_lag_seconds", selector, "pod", "{{pod}}"),
        ),
    )

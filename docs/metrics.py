"""Generate docs/metrics.md from the code, or check that it is up to date.

python docs/metrics.py [--check]
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

import consumer.exporter.queue_exporter
import consumer.indexer.metrics
import consumer.metrics
import core.redis.metrics
import core.runtime.event_loop_monitor
import core.runtime.metrics
import core.search.metrics
import server.metrics
from generated_page import write_or_check

PAGE = Path(__file__).with_name("metrics.md")
RULES = Path(__file__).parent.parent / "k8s" / "components" / "monitoring" / "rules"

HEAD = """# Metrics

Generated from the code by `make metrics`; `make check` fails when it is stale.

Each process serves `/metrics` on `METRICS_PORT` (9464), for Prometheus. Durations are in seconds, sizes in bytes. No
label contains a URL, an id or a customer. A histogram has `_bucket`, `_sum` and `_count`. `/livez` on the same port
answers 503 if the event loop has been blocked for 30 s, and 200 otherwise. It does not depend on AWS.

All processes also export the metrics of `prometheus_client`: `process_cpu_seconds_total`,
`process_resident_memory_bytes`, `process_open_fds`, `python_gc_*` and others. With `python -m server --workers N` these
have a label `worker`, and `server_worker_deaths_total` counts workers that ended unexpectedly.
"""

PROCESSES: dict[str, tuple[ModuleType, ...]] = {
    "Every process": (core.runtime.metrics, core.runtime.event_loop_monitor),
    "Server and consumer, through Redis": (core.redis.metrics,),
    "Server and indexer, with the search engine": (core.search.metrics,),
    "Server": (server.metrics,),
    "Consumer": (consumer.metrics,),
    "Indexer": (consumer.indexer.metrics,),
    "Queue exporter": (consumer.exporter.queue_exporter,),
}

NOTES = {
    "Server": "The first three have the names and labels of the gRPC ecosystem's middleware, so that its dashboards "
    "apply.\n",
    "Consumer": "Equivalents in OpenTelemetry's messaging metrics: "
    "`consumer_received_messages_total` is `messaging.client.consumed.messages`, `consumer_process_duration_seconds` "
    "is `messaging.process.duration`, `aws_call_seconds` of the SQS operations is "
    "`messaging.client.operation.duration`.\n",
    "Indexer": "`python -m consumer indexer`, if there is a search engine.\n",
    "Queue exporter": "`python -m consumer queue-exporter`, one per installation.\n",
}

RECORDED = """## Recording rules

The rules in `k8s/components/monitoring/rules` add these series.

| series | expression |
|---|---|
"""


def page() -> str:
    parts = [HEAD]
    for title, modules in PROCESSES.items():
        parts.append(f"## {title}\n")
        if title in NOTES:
            parts.append(NOTES[title])
        rows = "".join(_row(metric) for module in modules for metric in metrics_of(module))
        parts.append(f"| metric | kind | labels | what it is |\n|---|---|---|---|\n{rows}")
    parts.append(RECORDED + "".join(_recorded()))
    return "\n".join(parts)


def metrics_of(module: ModuleType) -> Iterator[MetricWrapperBase]:
    """Return a module's metrics in the order of their definition."""
    for value in vars(module).values():
        if isinstance(value, MetricWrapperBase):
            yield value


def name_of(metric: MetricWrapperBase) -> str:
    """Return the name that queries use."""
    (described,) = metric.describe()
    return f"{described.name}_total" if isinstance(metric, Counter) else described.name


def labels_of(metric: MetricWrapperBase) -> tuple[str, ...]:
    return tuple(metric._labelnames)  # noqa: SLF001  the client tells them nowhere else


def _row(metric: MetricWrapperBase) -> str:
    (described,) = metric.describe()
    labels = ", ".join(f"`{label}`" for label in labels_of(metric)) or "*none*"
    return f"| `{name_of(metric)}` | {described.type} | {labels} | {described.documentation} |\n"


def _recorded() -> Iterator[str]:
    for path in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(path.read_text())["spec"]["groups"]:
            for rule in group["rules"]:
                if "record" in rule:
                    expression = " ".join(str(rule["expr"]).split()).replace("|", "\\|")
                    yield f"| `{_series(rule)}` | `{expression}` |\n"


def _series(rule: dict[str, Any]) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in rule.get("labels", {}).items())
    return f"{rule['record']}{{{labels}}}" if labels else str(rule["record"])


if __name__ == "__main__":
    sys.exit(write_or_check(PAGE, page(), "metrics"))

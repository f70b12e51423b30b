"""All metrics that queries may use, with their labels: ours from the code, others from a list."""

import re
from importlib import import_module
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase

from cluster.dashboards.promql import Series, labels
from cluster.dashboards.rules import ROOT, recordings

PACKAGES = ("core", "server", "consumer")
_DEFINITION = re.compile(r'\b(?:Counter|Gauge|Histogram|Summary)\(\s*"(\w+)"')

TARGET = frozenset({"job", "namespace", "pod", "instance"})
"""Labels that the scrape adds."""

_DEPLOYMENT = TARGET | {"deployment"}
_AUTOSCALER = TARGET | {"horizontalpodautoscaler"}
_BUDGET = TARGET | {"poddisruptionbudget"}
# KEDA's chart does not set honorLabels, so `namespace` is the namespace of KEDA. No query may use it.
_SCALED_OBJECT = TARGET - {"namespace"} | {"scaledObject"}
_SCALER = _SCALED_OBJECT | {"metric", "scaler", "triggerIndex", "type"}

# kube-state-metrics 2.18 (docs/metrics/workload), KEDA 2.21 (pkg/metricscollector/prommetrics.go), Prometheus itself.
OTHERS: Series = {
    "up": TARGET,
    "ALERTS": TARGET | {"alertname", "alertstate", "severity", "slo"},
    "kube_cronjob_created": TARGET | {"cronjob"},
    "kube_cronjob_status_last_successful_time": TARGET | {"cronjob"},
    "kube_deployment_spec_replicas": _DEPLOYMENT,
    "kube_deployment_status_condition": _DEPLOYMENT | {"condition", "status", "reason"},
    "kube_deployment_status_replicas_available": _DEPLOYMENT,
    "kube_deployment_status_replicas_ready": _DEPLOYMENT,
    "kube_deployment_status_replicas_updated": _DEPLOYMENT,
    "kube_horizontalpodautoscaler_spec_max_replicas": _AUTOSCALER,
    "kube_horizontalpodautoscaler_status_condition": _AUTOSCALER | {"condition", "status"},
    "kube_horizontalpodautoscaler_status_desired_replicas": _AUTOSCALER,
    "kube_pod_container_status_restarts_total": TARGET | {"uid", "container"},
    "kube_poddisruptionbudget_status_current_healthy": _BUDGET,
    "kube_poddisruptionbudget_status_desired_healthy": _BUDGET,
    "kube_poddisruptionbudget_status_pod_disruptions_allowed": _BUDGET,
    "keda_scaled_object_errors_total": _SCALED_OBJECT,
    "keda_scaler_active": _SCALER,
    "keda_scaler_detail_errors_total": _SCALER,
    "keda_scaler_metrics_latency_seconds": _SCALER,
    "keda_scaler_metrics_value": _SCALER,
}


def defined(root: Path = ROOT) -> dict[str, str]:
    """Return each metric that the sources below `root` define, with its module."""
    return {
        name: ".".join(path.relative_to(root).with_suffix("").parts)
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
        for name in _DEFINITION.findall(path.read_text(encoding="utf-8"))
    }


def ours() -> Series:
    """Return the series of our programs, including the process metrics of the client library."""
    known: dict[str, frozenset[str]] = {}
    for module in sorted(set(defined().values())):
        for metric in vars(import_module(module)).values():
            if isinstance(metric, MetricWrapperBase):
                known.update(_samples(metric))
    for family in REGISTRY.collect():
        if family.name.startswith(("process_", "python_")):
            known.update({sample.name: TARGET | sample.labels.keys() for sample in family.samples})
    return known


def _samples(metric: MetricWrapperBase) -> Series:
    (family,) = metric.describe()
    own = TARGET | frozenset(metric._labelnames)
    match family.type:
        case "counter":
            return {f"{family.name}_total": own}
        case "histogram":
            counts = {f"{family.name}_{part}": own for part in ("sum", "count")}
            return {**counts, f"{family.name}_bucket": own | {"le"}}
    return {family.name: own}


def recorded(known: Series) -> Series:
    """Return the series that the rules record from `known`. Raises BadQuery for an unknown metric or label."""
    found: dict[str, frozenset[str]] = {}
    for rule in recordings():
        has = labels(rule.expr, {**known, **found}) | rule.labels.keys()
        found[rule.name] = found.get(rule.name, frozenset()) | has
    return found


def every() -> Series:
    known = {**ours(), **OTHERS}
    return {**known, **recorded(known)}


def is_counter(name: str) -> bool:
    """Return whether a metric is a counter or a part of a histogram."""
    return name.endswith(("_total", "_bucket", "_sum", "_count"))

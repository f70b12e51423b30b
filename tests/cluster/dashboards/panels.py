"""Panels of the dashboards, and their queries as Grafana sends them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.dashboards.rules import MONITORING

DASHBOARD_FILES = tuple(sorted((MONITORING / "dashboards").glob("*.json")))
NAMESPACE = "imageservice"
# Longer than the scenario, so that every event is in a rate.
RATE_INTERVAL = "10m"


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel. `expr` contains variables of Grafana."""

    dashboard: str
    panel: str
    expr: str
    legend: str

    @property
    def promql(self) -> str:
        return self.expr.replace("$__rate_interval", RATE_INTERVAL).replace("$namespace", NAMESPACE)

    @property
    def where(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.expr}"


def dashboards() -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in DASHBOARD_FILES}


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield all panels except row headings."""
    yield from (panel for panel in dashboard["panels"] if panel["type"] != "row")


def queries() -> list[Query]:
    return [
        Query(name, panel["title"], target["expr"], target["legendFormat"])
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]

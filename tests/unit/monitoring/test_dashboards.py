"""Dashboards follow our conventions and can be loaded into Grafana."""

import json
import subprocess
import sys
from typing import Any

import pytest

from cluster.dashboards import promql
from cluster.dashboards.panels import DASHBOARD_FILES, dashboards, panels
from cluster.dashboards.rules import ROOT

NAMES = {
    "overview",
    "server",
    "read-side",
    "consumer",
    "lanes-and-origins",
    "queue-and-scaling",
    "dependencies-and-cost",
}
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# Kubernetes limits the annotation in which `kubectl apply` stores the ConfigMap.
MOST_BYTES = 200_000
# Without honorLabels the label `namespace` of KEDA's metrics is the namespace of KEDA.
WITHOUT_NAMESPACE = ("keda_", "ALERTS", "imageservice:slo_objective")

EACH = pytest.mark.parametrize("dashboard", dashboards().values(), ids=lambda each: each["uid"])
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in dashboards().items()
    for panel in panels(dashboard)
]


def test_the_dashboards_exist() -> None:
    """Each has a uid that does not change."""
    assert {path.stem for path in DASHBOARD_FILES} == NAMES
    assert {each["uid"] for each in dashboards().values()} == {f"imageservice-{n}" for n in NAMES}


def test_the_files_are_fresh() -> None:
    """A change in Grafana must be made in the generator too."""
    command = [sys.executable, "-m", "k8s.components.monitoring.generator", "--check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@EACH
def test_a_dashboard_has_variables(dashboard: dict[str, Any]) -> None:
    """Data source and namespace are variables, and no data source is fixed."""
    variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "namespace": "query"}
    sources = [found for found in _everything(dashboard, "datasource") if isinstance(found, dict)]
    assert sources
    assert all(source == DATA_SOURCE for source in sources)


@EACH
def test_a_dashboard_fits(dashboard: dict[str, Any]) -> None:
    """Ids are distinct, panels do not overlap, and the JSON fits into a ConfigMap."""
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert len(json.dumps(dashboard, indent=2)) < MOST_BYTES
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        cells = {(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])}
        assert not cells & taken, panel["title"]
        assert grid["x"] + grid["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_has_texts(panel: dict[str, Any]) -> None:
    """It has a title, a description, a unit, and a legend for each series."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] != "table":
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_uses_the_variables(panel: dict[str, Any]) -> None:
    """Rates use $__rate_interval, and every selector has the selected namespace."""
    for target in panel["targets"]:
        expr = target["expr"]
        # The recording rules of cost have a fixed window, and a rate combined with them must use the same.
        if "imageservice:dynamodb_write_units:rate5m" not in expr and "[1h]" not in expr:
            assert "[" not in expr.replace("[$__rate_interval]", ""), expr
        for selector in promql.selectors(expr.replace("$__rate_interval", "5m")):
            if not selector.metric.startswith(WITHOUT_NAMESPACE):
                assert selector.matchers.get("namespace") == "$namespace", selector.text


def _everything(node: Any, key: str) -> list[Any]:
    if isinstance(node, dict):
        own = [node[key]] if key in node else []
        return own + [found for value in node.values() for found in _everything(value, key)]
    if isinstance(node, list):
        return [found for value in node for found in _everything(value, key)]
    return []

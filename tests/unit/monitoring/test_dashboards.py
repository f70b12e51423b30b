"""The dashboards keep to the rules of the house, and can be loaded as they are."""

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
    "queue-and-scaling",
    "dependencies-and-cost",
}
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
# What `kubectl apply` keeps in an annotation of the ConfigMap is bounded.
MOST_BYTES = 200_000
# KEDA's own label is lost where its scrape does not honour labels.
WITHOUT_NAMESPACE = ("keda_", "ALERTS", "imageservice:slo_objective")

EACH = pytest.mark.parametrize("dashboard", dashboards().values(), ids=lambda each: each["uid"])
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, dashboard in dashboards().items()
    for panel in panels(dashboard)
]


def test_there_are_those_that_the_runbook_speaks_of() -> None:
    """Each under a uid of its own that does not change."""
    assert {path.stem for path in DASHBOARD_FILES} == NAMES
    assert {each["uid"] for each in dashboards().values()} == {f"imageservice-{n}" for n in NAMES}


def test_the_files_are_as_the_generator_writes_them() -> None:
    """Who changes a dashboard in Grafana carries the change into its module."""
    command = [sys.executable, "-m", "k8s.components.monitoring.generator", "--check"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@EACH
def test_a_dashboard_lets_its_reader_choose(dashboard: dict[str, Any]) -> None:
    """The data source and the namespace are variables; nothing names a data source of somebody's Grafana."""
    variables = {each["name"]: each["type"] for each in dashboard["templating"]["list"]}
    assert variables == {"datasource": "datasource", "namespace": "query"}
    sources = [found for found in _everything(dashboard, "datasource") if isinstance(found, dict)]
    assert sources
    assert all(source == DATA_SOURCE for source in sources)


@EACH
def test_a_dashboard_fits_where_it_is_put(dashboard: dict[str, Any]) -> None:
    """Ids are distinct, panels do not overlap, and the text is short enough for a ConfigMap."""
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
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    """Title, a sentence, a unit, and a name for each line."""
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    if panel["type"] != "table":
        assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_follows_the_page(panel: dict[str, Any]) -> None:
    """Rates are over Grafana's own interval, and everything is of the namespace that was chosen."""
    for target in panel["targets"]:
        expr = target["expr"]
        # The cost's rules have a window of their own, and a rate beside them takes the same.
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

"""A panel: title, description, queries and appearance."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["timeseries", "stat", "table"]

DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Placeholders in queries, and the label matchers of a process that replace them.
SELECTORS = {
    "<server>": 'namespace="$namespace", job="imageservice-server"',
    "<consumer>": 'namespace="$namespace", job="imageservice-consumer"',
    "<indexer>": 'namespace="$namespace", job="imageservice-indexer"',
    "<search>": 'namespace="$namespace", job=~"imageservice-(server|indexer)"',
    "<exporter>": 'namespace="$namespace", job="imageservice-queue-exporter"',
    "<processes>": 'namespace="$namespace", job=~"imageservice-(server|consumer|indexer|queue-exporter)"',
}


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression with placeholders (SELECTORS), and the legend of its series."""

    expr: str
    legend: str

    def json(self, ref: str, *, instant: bool) -> dict[str, Any]:
        expr = self.expr
        for placeholder, matchers in SELECTORS.items():
            expr = expr.replace(placeholder, matchers)
        return {
            "refId": ref,
            "datasource": DATA_SOURCE,
            "editorMode": "code",
            "expr": expr,
            "legendFormat": self.legend,
            "instant": instant,
            "range": not instant,
            **({"format": "table"} if instant and not self.legend else {}),
        }


@dataclass(frozen=True, slots=True)
class Panel:
    """`unit` is a unit of Grafana; `width` is in 24ths of the page; `limit` is drawn as a line."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    stacked: bool = False
    limit: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def height(self) -> int:
        return 4 if self.kind == "stat" else 8

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        instant = self.kind != "timeseries"
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": DATA_SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
            "targets": [
                query.json(chr(ord("A") + position), instant=instant)
                for position, query in enumerate(self.queries)
            ],
        }

    def _defaults(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
        if self.limit is not None:
            steps.append({"color": "red", "value": self.limit})
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": steps},
        }
        if self.kind == "timeseries":
            drawn = "off" if self.limit is None else "line"
            defaults["custom"] = {
                "drawStyle": "line",
                "fillOpacity": 30 if self.stacked else 0,
                "showPoints": "never",
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": drawn},
            }
            defaults["min"] = 0
        return defaults

    def _options(self) -> dict[str, Any]:
        if self.kind == "stat":
            drawn: dict[str, Any] = {
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                "colorMode": "value",
                "graphMode": "none",
                "textMode": "value_and_name",
            }
        elif self.kind == "table":
            drawn = {"showHeader": True}
        else:
            drawn = {
                "legend": {
                    "displayMode": "table",
                    "placement": "bottom",
                    "calcs": ["lastNotNull", "max"],
                    "showLegend": True,
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        return {**drawn, **self.options}


def quantiles(metric: str, selector: str, by: str, legend: str) -> tuple[Query, ...]:
    """Return queries for the median and the 99th percentile of a histogram, by the labels `by`."""
    return tuple(
        Query(
            f"histogram_quantile({quantile}, sum by ({by}, le) "
            f"(rate({metric}_bucket{{{selector}}}[$__rate_interval])))",
            f"{legend} {name}".strip(),
        )
        for quantile, name in ((0.5, "median"), (0.99, "99 %"))
    )

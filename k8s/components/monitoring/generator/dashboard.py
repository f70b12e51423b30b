"""A dashboard: rows of panels, with variables for the data source and the namespace."""

import json
from dataclasses import dataclass
from typing import Any

from k8s.components.monitoring.generator.panel import DATA_SOURCE, Panel

# The version of Grafana 12. A newer Grafana migrates it.
SCHEMA_VERSION = 41
PAGE_WIDTH = 24

_VARIABLES: list[dict[str, Any]] = [
    {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
    },
    {
        "name": "namespace",
        "label": "Namespace",
        "type": "query",
        "datasource": DATA_SOURCE,
        "definition": 'label_values(up{job=~"imageservice-.+"}, namespace)',
        "query": {
            "query": 'label_values(up{job=~"imageservice-.+"}, namespace)',
            "refId": "namespace",
        },
        "refresh": 2,
        "sort": 1,
        "multi": False,
        "includeAll": False,
        "hide": 0,
    },
]
_ANNOTATIONS = {
    "list": [
        {
            "name": "Firing alerts",
            "datasource": DATA_SOURCE,
            "enable": True,
            "iconColor": "red",
            "expr": 'ALERTS{alertname=~"Imageservice.+", alertstate="firing", severity="critical"}',
            "titleFormat": "{{alertname}}",
            "step": "60s",
        }
    ]
}


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """`name` is the name of the file and part of the uid. The uid must not change, because links use it."""

    name: str
    title: str
    description: str
    rows: tuple[Row, ...]

    def text(self) -> str:
        return json.dumps(self._json(), indent=2, ensure_ascii=False) + "\n"

    def _json(self) -> dict[str, Any]:
        return {
            "uid": f"imageservice-{self.name}",
            "title": f"imageservice: {self.title}",
            "description": self.description,
            "tags": ["imageservice"],
            "schemaVersion": SCHEMA_VERSION,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "browser",
            "templating": {"list": _VARIABLES},
            "annotations": _ANNOTATIONS,
            "links": [
                {
                    "title": "imageservice",
                    "type": "dashboards",
                    "tags": ["imageservice"],
                    "asDropdown": True,
                    "includeVars": True,
                    "keepTime": True,
                }
            ],
            "panels": self._panels(),
        }

    def _panels(self) -> list[dict[str, Any]]:
        panels: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "row",
                    "title": row.title,
                    "collapsed": False,
                    "gridPos": {"x": 0, "y": y, "w": PAGE_WIDTH, "h": 1},
                    "panels": [],
                }
            )
            x, y, height = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > PAGE_WIDTH:
                    x, y, height = 0, y + height, 0
                panels.append(panel.json(len(panels) + 1, x, y))
                x, height = x + panel.width, max(height, panel.height)
            y += height
        return panels

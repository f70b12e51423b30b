"""The Prometheus rules of k8s/components/monitoring."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "k8s" / "components" / "monitoring"
RULE_FILES = tuple(sorted((MONITORING / "rules").glob("*.yaml")))


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `name` is that of the alert or of the recorded series."""

    name: str
    expr: str
    alerting: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def variant(self) -> str:
        """The name, with the long window if several rules share the name."""
        return " ".join(filter(None, [self.name, self.labels.get("long", "")]))


def groups(path: Path) -> dict[str, Any]:
    """Return the content of a PrometheusRule in the format of Prometheus."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"groups": content["spec"]["groups"]}


def rules() -> Iterator[Rule]:
    """Yield every rule in the order of the files, so that a recording comes before its use."""
    for path in RULE_FILES:
        for group in groups(path)["groups"]:
            for rule in group["rules"]:
                yield Rule(
                    rule.get("alert") or rule["record"],
                    rule["expr"],
                    "alert" in rule,
                    rule.get("labels", {}),
                    rule.get("annotations", {}),
                )


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.alerting]


def recordings() -> list[Rule]:
    return [rule for rule in rules() if not rule.alerting]

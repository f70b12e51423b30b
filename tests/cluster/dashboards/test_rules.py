"""Prometheus accepts the rules, and each alert fires exactly when it should."""

import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.dashboards.prometheus import required
from cluster.dashboards.rules import RULE_FILES, alerts, groups

CASES = tuple(sorted((Path(__file__).parent / "cases").glob("*.yaml")))


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(required("promtool")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(path: Path) -> subprocess.CompletedProcess[str]:
    return promtool("check", "rules", "--lint=all", "--lint-fatal", str(path))


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Write the rules in the format of Prometheus, without annotations, which the cases need not repeat."""
    for path in RULE_FILES:
        content = groups(path)
        for group in content["groups"]:
            for rule in group["rules"]:
                rule.pop("annotations", None)
        (tmp_path / path.name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_the_rules_are_valid(path: Path, tmp_path: Path) -> None:
    """Expressions and templates are valid, and no rule is duplicated."""
    rules = tmp_path / path.name
    rules.write_text(yaml.safe_dump(groups(path)), encoding="utf-8")
    ran = check(rules)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("key", "value"), [("expr", "sum by (x (up)"), ("annotations", {"summary": "{{ $labels.x }"})]
)
def test_a_fault_is_found(key: str, value: Any, tmp_path: Path) -> None:
    """A faulty expression and a faulty template are found."""
    content = groups(RULE_FILES[-1])
    content["groups"][0]["rules"][-1][key] = value
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert check(rules).returncode != 0


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_alerts_fire_exactly_when_they_should(case: Path, written: Path) -> None:
    """Each case has series and the alerts that must fire."""
    there = written / f"case-{case.name}"
    there.write_bytes(case.read_bytes())
    ran = promtool("test", "rules", str(there))
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_case_can_fail(written: Path) -> None:
    """A case fails if an alert fires that it does not expect."""
    case = yaml.safe_load(next(path for path in CASES if path.stem == "work").read_text("utf-8"))
    case["tests"][0]["alert_rule_test"][0]["exp_alerts"] = []
    there = written / "case.yaml"
    there.write_text(yaml.safe_dump(case), encoding="utf-8")
    assert promtool("test", "rules", str(there)).returncode != 0


def test_each_alert_has_a_firing_and_a_quiet_case() -> None:
    """An alert that never fires in a test may never fire."""
    firing: dict[str, set[str]] = defaultdict(set)
    quiet: set[str] = set()
    for case in CASES:
        for test in yaml.safe_load(case.read_text("utf-8"))["tests"]:
            for expected in test.get("alert_rule_test", []):
                name = expected["alertname"]
                if not expected["exp_alerts"]:
                    quiet.add(name)
                for fired in expected["exp_alerts"]:
                    firing[name].add(fired["exp_labels"].get("long", ""))
    for alert in alerts():
        assert alert.name in quiet, f"{alert.name} has no quiet case"
        assert alert.labels.get("long", "") in firing[alert.name], f"{alert.variant} never fires"

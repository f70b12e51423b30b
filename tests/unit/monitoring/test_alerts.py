"""An alert tells whoever is woken what is wrong, and leads to what to do."""

import re

import pytest

from cluster.dashboards.rules import ROOT, Rule, alerts

RUNBOOK = ROOT / "docs" / "runbook.md"
ALERTS = alerts()
EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.variant)
PARTS = ("What it means", "How to see it", "What to do")


def sections() -> dict[str, str]:
    """The runbook's entries by the anchors that GitHub and GitLab make of their headings."""
    parts = re.split(r"^### (\w+)\n", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip((name.lower() for name in parts[1::2]), parts[2::2], strict=True))


@EACH
def test_an_alert_has_words_for_a_person(alert: Rule) -> None:
    """A summary, a description, a severity that somebody acts on, and some patience."""
    assert alert.labels["severity"] in {"critical", "warning"}
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert all(alert.annotations[key].endswith(".") for key in ("summary", "description"))
    assert len(alert.annotations["summary"]) < 100


@EACH
def test_an_alert_leads_to_its_entry_in_the_runbook(alert: Rule) -> None:
    """Which says what it means, how to see it, and what to do."""
    page, _, anchor = alert.annotations["runbook_url"].partition("#")
    assert page == RUNBOOK.relative_to(ROOT).as_posix()
    assert anchor == alert.name.lower()
    entry = sections()[anchor]
    assert all(f"**{part}.**" in entry for part in PARTS)


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    """What was renamed or dropped does not stay."""
    assert set(sections()) == {alert.name.lower() for alert in ALERTS}

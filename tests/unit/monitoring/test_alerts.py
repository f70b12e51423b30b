"""Alerts say what is wrong and link to the runbook entry that says what to do."""

import re

import pytest

from cluster.dashboards.panels import dashboards
from cluster.dashboards.rules import ROOT, Rule, alerts

RUNBOOK = ROOT / "docs" / "runbook.md"
ALERTS = alerts()
EACH = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.variant)
PARTS = ("What it means", "How to see it", "What to do")
TEXT = " ".join(RUNBOOK.read_text(encoding="utf-8").split())
LOG_EVENTS = sorted(set(re.findall(r"(?:grep|-e) '([^']+)'", TEXT)))
# Other italics: labels and legends, objectives, Grafana's folder, a page of Prometheus, former names.
WORDS = {
    "imageservice",
    "imageservice-indexer",
    "imageservice-server",
    "availability",
    "latency",
    "freshness",
    "outcome",
    "share",
    "full",
    "desired",
    "maximum",
    "malformed",
    "reset",
    "undelivered",
    "dead letters",
    "Status → Targets",
}


def sections() -> dict[str, str]:
    """Return the entries of the runbook by the anchors that GitHub and GitLab generate."""
    parts = re.split(r"^### (\w+)\n", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip((name.lower() for name in parts[1::2]), parts[2::2], strict=True))


@EACH
def test_an_alert_has_texts(alert: Rule) -> None:
    """It has a summary, a description and a severity."""
    assert alert.labels["severity"] in {"critical", "warning", "info"}
    assert set(alert.annotations) == {"summary", "description", "runbook_url"}
    assert all(alert.annotations[key].endswith(".") for key in ("summary", "description"))
    assert len(alert.annotations["summary"]) < 100


@EACH
def test_an_alert_links_to_its_runbook_entry(alert: Rule) -> None:
    """The entry says what it means, how to see it, and what to do."""
    page, _, anchor = alert.annotations["runbook_url"].partition("#")
    assert page == RUNBOOK.relative_to(ROOT).as_posix()
    assert anchor == alert.name.lower()
    entry = sections()[anchor]
    assert all(f"**{part}.**" in entry for part in PARTS)


def test_the_runbook_has_no_entry_without_an_alert() -> None:
    """Entries of renamed or removed alerts are removed too."""
    assert set(sections()) == {alert.name.lower() for alert in ALERTS}


def test_the_runbook_names_dashboards_and_panels_that_exist() -> None:
    """Italics are for names of dashboards, rows and panels, and for a few words that the entries explain."""
    pages = dashboards()
    names = {page["title"].removeprefix("imageservice: ") for page in pages.values()}
    names |= {panel["title"] for page in pages.values() for panel in page["panels"]}
    text = re.sub(r"\*\*.+?\*\*", "", TEXT)
    used = set(re.findall(r"(?<![*\w])\*([^*]+)\*(?![*\w])", text))
    assert used - WORDS <= names


@pytest.mark.parametrize("event", LOG_EVENTS)
def test_the_runbook_greps_for_log_events_that_exist(event: str) -> None:
    """Each log event in a command of the runbook is in the code."""
    sources = [
        path for folder in ("core", "server", "consumer") for path in (ROOT / folder).rglob("*.py")
    ]
    assert any(event in path.read_text(encoding="utf-8") for path in sources)

"""Dashboards and rules query only metrics and labels that exist."""

import re

import pytest

from cluster.dashboards import panels, promql, rules
from cluster.dashboards.promql import BadQuery, Series
from cluster.dashboards.series import every, is_counter, ours

KNOWN = every()
OURS = ours()
QUERIES = panels.queries()
RULES = list(rules.rules())

UNKNOWN = [
    ("rate(no_such_metric_total[5m])", "no metric no_such_metric_total"),
    ('rate(aws_calls_total{outcom="ok"}[5m])', "no label outcom"),
    ("sum by (operatoin) (rate(aws_calls_total[5m]))", "operatoin"),
    ("histogram_quantile(0.9, sum by (operation) (rate(aws_call_seconds_bucket[5m])))", "buckets"),
    ("histogram_quantile(0.9, rate(aws_calls_total[5m]))", "buckets"),
    ("sum by (job) (up) / on (deployment) sum by (job) (up)", "deployment"),
    ("up and on (cronjob) kube_cronjob_status_last_successful_time", "cronjob"),
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_a_panel_uses_metrics_and_labels_that_exist(query: panels.Query) -> None:
    """Its legend uses only labels of the result."""
    has = promql.labels(query.promql, KNOWN)
    shown = set(re.findall(r"{{(\w+)}}", query.legend))
    assert shown <= has, query.where


def test_annotations_use_labels_that_exist() -> None:
    """Annotations of firing alerts."""
    for dashboard in panels.dashboards().values():
        for mark in dashboard["annotations"]["list"]:
            has = promql.labels(mark["expr"], KNOWN)
            assert set(re.findall(r"{{(\w+)}}", mark["titleFormat"])) <= has


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.variant)
def test_a_rule_uses_metrics_and_labels_that_exist(rule: rules.Rule) -> None:
    """The texts of an alert use only labels of the result."""
    has = promql.labels(rule.expr, KNOWN) | rule.labels.keys()
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations.values())))
    assert used <= has, rule.variant


@pytest.mark.parametrize(("expr", "message"), UNKNOWN, ids=lambda each: each)
def test_a_missing_metric_or_label_is_found(expr: str, message: str) -> None:
    """A misspelt metric and a misspelt label are found in every position."""
    with pytest.raises(BadQuery, match=message):
        promql.labels(expr, KNOWN)


def test_the_registry_has_its_labels() -> None:
    """Each kind of metric becomes the series that Prometheus scrapes."""
    own: Series = {
        name: has - {"job", "namespace", "pod", "instance"} for name, has in OURS.items()
    }
    assert own["aws_calls_total"] == {"operation", "outcome"}
    assert own["aws_call_seconds_bucket"] == {"operation", "le"}
    assert own["consumer_outage"] == frozenset()
    assert "process_resident_memory_bytes" in own


@pytest.mark.parametrize(
    ("where", "expr"),
    [(query.where, query.promql) for query in QUERIES]
    # A deprecated series is recorded without rate(), even if it is a counter.
    + [(r.variant, r.expr) for r in RULES if r.labels.get("deprecated") != "true"],
)
def test_counters_are_used_with_rate(where: str, expr: str) -> None:
    """The value of a counter alone says nothing, because it starts at 0 in every new pod."""
    for selector in promql.selectors(expr):
        if is_counter(selector.metric):
            assert selector.within in promql.GROWTH, f"{where}: {selector.text}"


@pytest.mark.parametrize(
    ("where", "expr"),
    [(query.where, query.promql) for query in QUERIES] + [(r.variant, r.expr) for r in RULES],
)
def test_our_metrics_are_selected_by_job(where: str, expr: str) -> None:
    """Metrics such as process_cpu_seconds_total exist in other programs too."""
    for selector in promql.selectors(expr):
        if selector.metric in OURS:
            assert selector.matchers.get("job", "").startswith("imageservice-"), (
                f"{where}: {selector.text}"
            )

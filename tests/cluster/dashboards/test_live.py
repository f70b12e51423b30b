"""Every panel and every alert, queried in a Prometheus that has scraped the scenario. An empty result is a fault."""

from collections.abc import Iterable
from dataclasses import replace

import aiohttp
import pytest

from cluster.dashboards import promql
from cluster.dashboards.panels import Query, queries
from cluster.dashboards.prometheus import Prometheus
from cluster.dashboards.rules import RULE_FILES, Rule, rules

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # The fixture starts a control plane and runs a scenario of about a minute with an outage.
    pytest.mark.timeout(600),
]
QUERIES = queries()
RULES = list(rules())

# Cost of a million images by docs/performance.md, and the most that idle calls and failures of a short run add.
LEAST_USD = 7.5
MOST_USD = 12.0


async def empty(prometheus: Prometheus, selected: Iterable[Query]) -> list[str]:
    """Return the queries without a result."""
    return [query.where for query in selected if not await prometheus.query(query.promql)]


async def without_data(prometheus: Prometheus, rule: Rule) -> list[str]:
    """Return the selectors of a rule without a result. A quiet alert is good, but not if its data is missing."""
    found = promql.selectors(rule.expr)
    return [each.text for each in found if not await prometheus.query(each.text)]


async def test_every_panel_has_data(watched: Prometheus) -> None:
    """Each query of each panel has a result. A rate needs two scrapes, and KEDA drops a series between two readings."""
    for query in QUERIES:
        await watched.until(query.promql)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.variant)
async def test_every_rule_has_data(watched: Prometheus, rule: Rule) -> None:
    """Prometheus accepts the expression, and each selected series exists, whether the alert fires or not."""
    await watched.query(rule.expr)
    for selector in promql.selectors(rule.expr):
        await watched.until(selector.text)


async def test_every_rule_is_healthy(watched: Prometheus) -> None:
    """Prometheus has evaluated each rule without an error."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{watched.url}/api/v1/rules") as response,
    ):
        groups = (await response.json())["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
    assert set(health) == {rule.name for rule in RULES}
    assert set(health.values()) == {"ok"}
    assert {group["file"].rpartition("/")[2] for group in groups} == {p.name for p in RULE_FILES}


async def test_a_misspelt_metric_is_found(watched: Prometheus) -> None:
    """A misspelt metric in a panel makes its result empty."""
    planted = [
        replace(query, expr=query.expr.replace("consumer_ended_requests", "consumer_ended_request"))
        for query in QUERIES
        if "consumer_ended_requests" in query.expr
    ]
    assert planted
    assert len(await empty(watched, planted)) == len(planted)


async def test_a_misspelt_metric_in_an_alert_is_found(watched: Prometheus) -> None:
    """A misspelt metric in an alert is found, although the alert is quiet in any case."""
    (outage,) = (alert for alert in RULES if alert.name == "ImageserviceOutage")
    planted = replace(outage, expr=outage.expr.replace("consumer_outage", "consumer_outtage"))
    assert await watched.query(planted.expr) == []
    assert len(await without_data(watched, planted)) == 1


async def test_images_cost_what_the_benchmark_says(watched: Prometheus) -> None:
    """The recording rules compute the cost of the benchmark from our counters."""
    cost = 1_000_000 * await watched.value("imageservice:cost_per_image_usd")
    assert LEAST_USD < cost < MOST_USD


async def test_scrapes_are_below_the_sample_limit(watched: Prometheus) -> None:
    """A scrape above sampleLimit loses all metrics of the process."""
    samples = await watched.samples()
    assert samples["imageservice-server"] < 1_000
    assert samples["imageservice-consumer"] < 1_000
    assert samples["imageservice-queue-exporter"] < 250

"""Every panel and every alert, asked of a Prometheus that has seen everything happen: an empty answer is a fault."""

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
    # The control plane, a minute of work and an outage come first.
    pytest.mark.timeout(600),
]
QUERIES = queries()
RULES = list(rules())

# What a million images cost by docs/performance.md, and what a short run may add to it: idle calls, and failures.
LEAST_USD = 7.5
MOST_USD = 12.0


async def empty(prometheus: Prometheus, asked: Iterable[Query]) -> list[str]:
    """The queries that find nothing."""
    return [query.where for query in asked if not await prometheus.ask(query.promql)]


async def unheard(prometheus: Prometheus, rule: Rule) -> list[str]:
    """The selectors of a rule that find nothing; of an alert, quiet is good, but not for want of data."""
    found = promql.selectors(rule.expr)
    return [each.text for each in found if not await prometheus.ask(each.text)]


async def test_every_panel_has_data(watched: Prometheus) -> None:
    """Each query of each panel of each dashboard."""
    assert await empty(watched, QUERIES) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.variant)
async def test_every_rule_stands_on_data(watched: Prometheus, rule: Rule) -> None:
    """The expression is taken, and each series that it selects is there, whether the alert fires or not."""
    await watched.ask(rule.expr)
    assert await unheard(watched, rule) == []


async def test_prometheus_finds_every_rule_healthy(watched: Prometheus) -> None:
    """It has evaluated each of them, many times."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{watched.url}/api/v1/rules") as answer,
    ):
        told = (await answer.json())["data"]["groups"]
    health = {rule["name"]: rule["health"] for group in told for rule in group["rules"]}
    assert set(health) == {rule.name for rule in RULES}
    assert set(health.values()) == {"ok"}
    assert {group["file"].rpartition("/")[2] for group in told} == {p.name for p in RULE_FILES}


async def test_a_misspelt_metric_is_seen(watched: Prometheus) -> None:
    """Planted into panels one at a time, it leaves each of them empty."""
    planted = [
        replace(query, expr=query.expr.replace("consumer_ended_requests", "consumer_ended_request"))
        for query in QUERIES
        if "consumer_ended_requests" in query.expr
    ]
    assert planted
    assert len(await empty(watched, planted)) == len(planted)


async def test_a_misspelt_metric_in_an_alert_is_seen(watched: Prometheus) -> None:
    """Although the alert as a whole is quiet either way."""
    (outage,) = (alert for alert in RULES if alert.name == "ImageserviceOutage")
    planted = replace(outage, expr=outage.expr.replace("consumer_outage", "consumer_outtage"))
    assert await watched.ask(planted.expr) == []
    assert len(await unheard(watched, planted)) == 1


async def test_images_cost_what_the_benchmark_says(watched: Prometheus) -> None:
    """By the rules, out of our own counters."""
    cost = 1_000_000 * await watched.value("imageservice:cost_per_image_usd")
    assert LEAST_USD < cost < MOST_USD


async def test_the_pod_monitors_leave_room_for_what_a_process_tells(watched: Prometheus) -> None:
    """A sampleLimit that is met loses every figure of the process at once."""
    samples = await watched.samples()
    assert samples["imageservice-server"] < 1_000
    assert samples["imageservice-consumer"] < 1_000
    assert samples["imageservice-queue-exporter"] < 250

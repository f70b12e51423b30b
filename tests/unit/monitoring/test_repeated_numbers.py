"""Numbers that a rule repeats, because Prometheus and kustomize cannot import them."""

import re

import pytest
import yaml

from cluster.dashboards.rules import ROOT, recordings
from loadtest.bench.benchmarks import prices

SCALED_OBJECT = ROOT / "k8s" / "components" / "keda" / "scaled-object.yaml"
PRICES = {
    "dynamodb_write": prices.WRITE_UNIT,
    "dynamodb_read": prices.READ_UNIT,
    "sqs_request": prices.SQS_REQUEST + prices.FAIR_QUEUE_REQUEST,
    "sns_request": prices.SNS_REQUEST,
    "s3_put": prices.S3_PUT,
}


def test_prices_are_those_of_the_benchmarks() -> None:
    """The rules on cost and the benchmarks use the same list prices."""
    written = {
        rule.labels["unit"]: re.fullmatch(r"vector\(([\d.]+)\)", rule.expr)
        for rule in recordings()
        if rule.name == "imageservice:aws_price:usd"
    }
    assert {unit: float(found[1]) for unit, found in written.items() if found} == pytest.approx(
        PRICES
    )


def test_the_rules_on_keda_have_its_queue_lengths() -> None:
    """The alert on its fallback computes with the messages per pod of each lane."""
    triggers = yaml.safe_load(SCALED_OBJECT.read_text())["spec"]["triggers"]
    written = {
        rule.labels["lane"]: rule.expr
        for rule in recordings()
        if rule.name == "imageservice:keda_queue_length:messages"
    }
    assert written == {
        each["name"]: f"vector({each['metadata']['queueLength']})" for each in triggers
    }

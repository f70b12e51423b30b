"""Recording rules and benchmarks use the same prices."""

import re

import pytest

from cluster.dashboards.rules import recordings
from loadtest.bench.benchmarks import prices

PRICES = {
    "dynamodb_write": prices.WRITE_UNIT,
    "dynamodb_read": prices.READ_UNIT,
    "sqs_request": prices.SQS_REQUEST,
    "sns_request": prices.SNS_REQUEST,
    "s3_put": prices.S3_PUT,
}


def test_prices_are_those_of_the_benchmarks() -> None:
    """Prometheus cannot import them, so they are written twice and compared here."""
    written = {
        rule.labels["unit"]: re.fullmatch(r"vector\(([\d.]+)\)", rule.expr)
        for rule in recordings()
        if rule.name == "imageservice:aws_price:usd"
    }
    assert {unit: float(found[1]) for unit, found in written.items() if found} == pytest.approx(
        PRICES
    )

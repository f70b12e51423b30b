"""Label values that are written in the code are initialised, also those that tests reach seldom."""

import re
from typing import get_args

from cluster.dashboards.rules import ROOT
from consumer.fetching.limits.host_customer import BusyReason
from consumer.metrics import REQUEUE_REASONS, STEPS
from consumer.worker.retry_policy import INTERNAL_REASON

SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "consumer").rglob("*.py"))
)


def test_every_reason_of_a_requeue_is_initialised() -> None:
    found = re.findall(r'requeue\([^()]*reason="(\w+)"|Requeue\([^()]*"(\w+)"', SOURCES)
    reasons = {reason for pair in found for reason in pair if reason} | {INTERNAL_REASON}
    assert {"drain", "outage"} <= reasons <= set(REQUEUE_REASONS)
    assert set(get_args(BusyReason)) <= set(REQUEUE_REASONS)


def test_every_step_of_the_pipeline_is_initialised() -> None:
    assert set(re.findall(r'run\.step\("(\w+)"', SOURCES)) == set(STEPS)

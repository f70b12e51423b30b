"""The number of messages per pod in an alert equals that of the autoscaler."""

import re
from pathlib import Path

import yaml

from cluster.dashboards.rules import alerts

SCALED_OBJECT = Path(__file__).parents[3] / "k8s" / "components" / "keda" / "scaled-object.yaml"


def test_the_alert_uses_half_of_the_queue_length() -> None:
    """kustomize cannot replace a number inside an expression, so it is written twice and compared here.

    Half of queueLength, because a fallback to one pod reports one queueLength for an empty queue.
    """
    (trigger,) = yaml.safe_load(SCALED_OBJECT.read_text())["spec"]["triggers"]
    (alert,) = (alert for alert in alerts() if alert.name == "ImageserviceKedaErrors")
    halves = [int(half) for half in re.findall(r"\((\d+) \+ 0\.5", alert.expr)]
    assert halves == [int(trigger["metadata"]["queueLength"]) / 2]

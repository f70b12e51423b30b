"""An alert that speaks of a pod's worth of messages means the autoscaler's."""

import re
from pathlib import Path

import yaml

from cluster.dashboards.rules import alerts

SCALED_OBJECT = Path(__file__).parents[3] / "k8s" / "components" / "keda" / "scaled-object.yaml"


def test_half_a_pods_worth_is_half_the_queue_length() -> None:
    """Rules are no part of what kustomize replaces in, so that the figure stands twice, and here side by side.

    Half, because a fallback to one pod tells one worth of a queue that is empty.
    """
    (trigger,) = yaml.safe_load(SCALED_OBJECT.read_text())["spec"]["triggers"]
    (alert,) = (alert for alert in alerts() if alert.name == "ImageserviceKedaErrors")
    halves = [int(half) for half in re.findall(r"\((\d+) \+ 0\.5", alert.expr)]
    assert halves == [int(trigger["metadata"]["queueLength"]) / 2]

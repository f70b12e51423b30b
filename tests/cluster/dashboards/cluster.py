"""The local overlay in a real control plane, for the metrics of kube-state-metrics and KEDA."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.local.stack import StackOutputs
from cluster.control_plane import ControlPlane, control_plane
from cluster.dashboards.panels import NAMESPACE
from cluster.dashboards.prometheus import Target
from cluster.scaling.overlays import Overlays

_IN = ("-n", NAMESPACE)


@asynccontextmanager
async def cluster() -> AsyncIterator[ControlPlane]:
    async with control_plane(kube_state_metrics=True) as plane:
        if not plane.ours:
            raise pytest.UsageError("unset KUBECONFIG: this needs a control plane of its own")
        yield plane


def targets(plane: ControlPlane) -> list[Target]:
    assert plane.keda_metrics_url
    assert plane.kube_state_metrics_url
    return [
        # As KEDA's chart configures the scrape: the label `namespace` is the namespace of KEDA.
        Target("keda-operator", plane.keda_metrics_url, {"namespace": "keda", "pod": "keda-0"}),
        Target("kube-state-metrics", plane.kube_state_metrics_url),
    ]


async def install(plane: ControlPlane, place: Path, stack: StackOutputs, *, endpoint: str) -> None:
    """Apply the local overlay, with KEDA on queues of this machine, and set the status of a past reconcile."""
    overlays = Overlays.copy(place)
    overlays.with_search("local")
    local = overlays.with_settings(
        "local",
        QUEUE_URL=stack.queue_url,
        BULK_QUEUE_URL=stack.bulk_queue_url,
        SEARCH_QUEUE_URL=stack.search_queue_url,
    )
    (local / "endpoint.env").write_text(f"AWS_ENDPOINT_URL={endpoint}\n", encoding="utf-8")
    await plane.kubectl.apply("-k", str(local))
    # At least one consumer, so that there are metrics of a pod while the queue is empty.
    await _patch(plane, "scaledobject/imageservice-consumer", {"spec": {"minReplicaCount": 1}})
    # This cluster runs no containers, so the CronJob cannot succeed by itself.
    succeeded = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"status": {"lastSuccessfulTime": succeeded, "lastScheduleTime": succeeded}}
    await _patch(plane, "cronjob/imageservice-reconcile", status, "--subresource=status")


async def _patch(plane: ControlPlane, what: str, change: object, *options: str) -> None:
    merge = ("--type=merge", f"--patch={json.dumps(change)}")
    await plane.kubectl.run("patch", what, *_IN, *merge, *options)

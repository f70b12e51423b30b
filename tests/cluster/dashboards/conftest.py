"""Fixture: one run of the scenario, scraped by a Prometheus that all tests query."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cli.local.embedded_aws import free_port
from cluster.dashboards import scenario
from cluster.dashboards.cluster import cluster, install, targets
from cluster.dashboards.panels import NAMESPACE
from cluster.dashboards.prometheus import Prometheus, Target, prometheus
from harness.aws import RecordingAws
from harness.aws_proxy import aws_proxy
from harness.origin import origin
from harness.redis_server import redis_server
from harness.system import system

COMPONENTS = ("server", "consumer", "indexer", "queue-exporter")


def target(component: str, port: int) -> Target:
    """Return the scrape target of a process, with the labels of its PodMonitor."""
    job = f"imageservice-{component}"
    url = f"http://127.0.0.1:{port}/metrics"
    return Target(job, url, {"namespace": NAMESPACE, "pod": f"{job}-0"})


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watched(
    embedded_aws: RecordingAws, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Prometheus]:
    """Return a Prometheus that has scraped the whole scenario."""
    place = tmp_path_factory.mktemp("watched")
    ports = {component: free_port() for component in COMPONENTS}
    async with (
        origin() as images,
        redis_server(place) as redis,
        aws_proxy(embedded_aws.endpoint) as proxy,
        system(embedded_aws, endpoint=proxy.endpoint, forked=False) as running,
        cluster() as plane,
        prometheus(
            place, [*(target(name, port) for name, port in ports.items()), *targets(plane)]
        ) as watching,
    ):
        await install(plane, place, running.stack, endpoint=embedded_aws.endpoint)
        shared = {"REDIS_URL": redis.url}
        await running.start_server(METRICS_PORT=str(ports["server"]), **shared)
        await running.start_consumer(
            METRICS_PORT=str(ports["consumer"]), **shared, **scenario.CONSUMER
        )
        await running.start_indexer(METRICS_PORT=str(ports["indexer"]))
        await running.start_exporter(METRICS_PORT=str(ports["queue-exporter"]), READ_INTERVAL_S="1")
        await scenario.play(running, images, proxy, watching)
        # Wait for the first reading of KEDA and of an autoscaler.
        await watching.until("keda_scaler_metrics_value")
        await watching.until(
            'kube_horizontalpodautoscaler_status_condition{condition="ScalingActive"}'
        )
        yield watching

"""Fixtures: one control plane with the local overlay for all tests of this folder."""

import os
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from backends import jars
from cluster.control_plane import ControlPlane, control_plane
from cluster.scaling.backlog import Lanes, lanes
from cluster.scaling.overlays import Overlays
from cluster.scaling.relay import relay
from cluster.scaling.timeline import NAME, NAMESPACE

# The address of this machine for the cluster of KUBECONFIG, such as kind's bridge. The queue listens there.
HOST_VARIABLE = "IMAGESERVICE_CLUSTER_HOST"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def plane() -> AsyncIterator[ControlPlane]:
    async with control_plane() as running:
        if not running.ours and not os.environ.get(HOST_VARIABLE):
            raise pytest.UsageError(
                f"with KUBECONFIG, {HOST_VARIABLE} must be the address of this machine"
            )
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def queues(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lanes]:
    async with lanes(jars.fetch(), tmp_path_factory.mktemp("elasticmq")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def overlays(
    plane: ControlPlane, queues: Lanes, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Overlays]:
    """The overlays. The local one is applied and uses the queues."""
    copied = Overlays.copy(tmp_path_factory.mktemp("overlays"))
    if not plane.ours:
        copied.without_image("local")
    async with relay(os.environ.get(HOST_VARIABLE), queues.proxy.endpoint) as endpoint:
        local = copied.with_settings(
            "local",
            QUEUE_URL=queues.interactive.url,
            BULK_QUEUE_URL=queues.bulk.url,
            AWS_ENDPOINT_URL=endpoint,
        )
        await plane.kubectl.apply("-k", str(local))
        ready = ("--for=condition=Ready", "--timeout=60s")
        await plane.kubectl.run("wait", f"scaledobject/{NAME}", "-n", NAMESPACE, *ready)
        yield copied
        if not plane.ours:
            await plane.kubectl.run("delete", "-k", str(local), "--ignore-not-found")


@pytest.fixture
def print_line(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints to the terminal while the test runs."""

    def printed(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)  # noqa: T201  progress for the user

    return printed

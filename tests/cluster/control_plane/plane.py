"""The whole control plane: started in order and stopped in reverse order, or the existing one of KUBECONFIG."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cli.local.embedded_aws import free_port
from cluster.control_plane.api_server import start_api_server
from cluster.control_plane.binaries import (
    ETCD,
    KEDA,
    KUBE_STATE_METRICS,
    KUBERNETES,
    KWOK,
    PROMETHEUS_OPERATOR,
    Tool,
)
from cluster.control_plane.controllers import nodes, start_controllers
from cluster.control_plane.keda import start_keda
from cluster.control_plane.kubectl import Kubectl
from cluster.control_plane.program import Program
from cluster.control_plane.workspace import ADMIN, Workspace

_TAIL_CHARACTERS = 2_000
_PROGRAMS: tuple[tuple[Tool, str], ...] = (
    (KUBERNETES, "kubectl"),
    (ETCD, "server"),
    (KWOK, "kwok"),
    (KEDA, "operator"),
)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A running cluster. The fields that are None are not known for the cluster of KUBECONFIG."""

    kubectl: Kubectl
    ours: bool
    """Whether this process started it. Then its nodes are fake, and pods are Running and Ready without a container."""
    keda_metrics_url: str | None = None
    kube_state_metrics_url: str | None = None
    logs: Path | None = None

    @property
    def kubeconfig(self) -> Path:
        return self.kubectl.kubeconfig

    async def log_tails(self) -> str:
        """Return the end of the log of every program, for the message of a failed test."""
        return "" if self.logs is None else await asyncio.to_thread(_tails, self.logs)


@asynccontextmanager
async def control_plane(*, kube_state_metrics: bool = False) -> AsyncIterator[ControlPlane]:
    """Start a control plane with KEDA, or yield the one of KUBECONFIG. Raises BuildFailed, ControlPlaneFailed."""
    given = os.environ.get("KUBECONFIG")
    if given:
        program = await asyncio.to_thread(KUBERNETES.binary, "kubectl")
        yield ControlPlane(Kubectl(program, Path(given)), ours=False)
        return
    await asyncio.to_thread(build, kube_state_metrics=kube_state_metrics)
    async with AsyncExitStack() as running:
        folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="imageservice-cluster-")
        running.push_async_callback(asyncio.to_thread, shutil.rmtree, folder)
        yield await _start(Path(folder), running, kube_state_metrics=kube_state_metrics)


def _tails(logs: Path) -> str:
    texts = ((log.stem, log.read_text(errors="replace")) for log in sorted(logs.iterdir()))
    return "\n".join(f"== {name}\n{text[-_TAIL_CHARACTERS:]}" for name, text in texts)


def build(*, kube_state_metrics: bool) -> None:
    """Build all programs before the start, so that no timeout includes minutes of compilation."""
    for tool, program in _PROGRAMS:
        tool.binary(program)
    if kube_state_metrics:
        KUBE_STATE_METRICS.binary("kube-state-metrics")


async def _start(
    folder: Path, running: AsyncExitStack, *, kube_state_metrics: bool
) -> ControlPlane:
    workspace = await asyncio.to_thread(Workspace.prepare, folder, free_port())
    tokens = await start_api_server(workspace, running)
    program = await asyncio.to_thread(KUBERNETES.binary, "kubectl")
    admin = await asyncio.to_thread(workspace.kubeconfig, *ADMIN)
    kubectl = Kubectl(program, admin, cache=folder / "kubectl")
    await start_controllers(workspace, tokens, running)
    await kubectl.apply_objects(nodes())
    await kubectl.run("wait", "nodes", "--all", "--for=condition=Ready", "--timeout=60s")
    monitoring = await asyncio.to_thread(PROMETHEUS_OPERATOR.source)
    await kubectl.apply("-f", str(monitoring / "example" / "prometheus-operator-crd"))
    metrics = await start_keda(workspace, kubectl, running)
    state = await _start_kube_state_metrics(workspace, running) if kube_state_metrics else None
    return ControlPlane(kubectl, True, metrics, state, workspace.logs)


async def _start_kube_state_metrics(workspace: Workspace, running: AsyncExitStack) -> str:
    kubeconfig = await asyncio.to_thread(
        workspace.kubeconfig, "kube-state-metrics", ("system:masters",)
    )
    port, telemetry = free_port(), free_port()
    program = await Program.start(
        await asyncio.to_thread(KUBE_STATE_METRICS.binary, "kube-state-metrics"),
        f"--kubeconfig={kubeconfig}",
        *("--host=127.0.0.1", f"--port={port}"),
        *("--telemetry-host=127.0.0.1", f"--telemetry-port={telemetry}"),
        name="kube-state-metrics",
        logs=workspace.logs,
        environment={},
    )
    running.push_async_callback(program.stop)
    await program.answers(f"http://127.0.0.1:{port}/healthz")
    return f"http://127.0.0.1:{port}/metrics"

"""kube-controller-manager, kube-scheduler, and kwok, on whose nodes every pod is ready at once."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from cli.local.embedded_aws import free_port
from cluster.control_plane.binaries import KUBERNETES, KWOK
from cluster.control_plane.certificates import Identity
from cluster.control_plane.program import Program
from cluster.control_plane.workspace import ADMIN, Workspace

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
NODES_PER_ZONE = 2
_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


async def start_controllers(
    workspace: Workspace, tokens: Identity, running: AsyncExitStack
) -> None:
    """Start all three. Wait until those with a probe are ready."""
    await asyncio.gather(
        _start_controller(
            workspace,
            running,
            "kube-controller-manager",
            f"--root-ca-file={workspace.authority.certificate}",
            f"--service-account-private-key-file={tokens.key}",
            # As on a real cluster: the autoscaler has only the permissions of its own account.
            "--use-service-account-credentials",
        ),
        _start_controller(workspace, running, "kube-scheduler"),
        _start_kwok(workspace, running),
    )


async def _start_controller(
    workspace: Workspace, running: AsyncExitStack, name: str, *further: str
) -> None:
    kubeconfig = await asyncio.to_thread(workspace.kubeconfig, f"system:{name}")
    serving = await asyncio.to_thread(workspace.authority.issue, name)
    port = free_port()
    program = await Program.start(
        await asyncio.to_thread(KUBERNETES.binary, name),
        *(f"--{use}kubeconfig={kubeconfig}" for use in ("", "authentication-", "authorization-")),
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={serving.certificate}",
        f"--tls-private-key-file={serving.key}",
        "--leader-elect=false",
        *further,
        name=name,
        logs=workspace.logs,
        environment={},
    )
    running.push_async_callback(program.stop)
    url = f"https://127.0.0.1:{port}/healthz"
    await program.answers(url, authority=workspace.authority.certificate)


async def _start_kwok(workspace: Workspace, running: AsyncExitStack) -> None:
    stages = await asyncio.to_thread(_stages)
    kubeconfig = await asyncio.to_thread(workspace.kubeconfig, *ADMIN)
    program = await Program.start(
        await asyncio.to_thread(KWOK.binary, "kwok"),
        f"--kubeconfig={kubeconfig}",
        *(f"--config={stage}" for stage in stages),
        "--manage-all-nodes",
        "--node-lease-duration-seconds=40",
        name="kwok",
        logs=workspace.logs,
        environment={},
    )
    running.push_async_callback(program.stop)


def _stages() -> list[Path]:
    return [KWOK.source() / "kustomize" / "stage" / stage for stage in _STAGES]


def nodes() -> Iterable[dict[str, Any]]:
    """Yield the nodes in three zones. Their size is m7i.xlarge, a common size on EKS."""
    size = {"cpu": "4", "memory": "16Gi", "pods": "58", "ephemeral-storage": "20Gi"}
    for zone in ZONES:
        for number in range(NODES_PER_ZONE):
            name = f"node-{zone}-{number}"
            labels = {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/region": zone[:-1],
                "topology.kubernetes.io/zone": zone,
            }
            yield {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": labels},
                "status": {"allocatable": size, "capacity": size},
            }

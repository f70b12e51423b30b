"""KEDA's operator, metrics adapter and admission webhooks on this machine, installed with its own manifests."""

import asyncio
import base64
import shutil
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.local.embedded_aws import free_port
from cluster.control_plane import admission
from cluster.control_plane.binaries import KEDA
from cluster.control_plane.kubectl import Kubectl
from cluster.control_plane.program import Program
from cluster.control_plane.workspace import Workspace

NAMESPACE = "keda"
API_SERVICE = "v1beta1.external.metrics.k8s.io"
_ADAPTER = "keda-metrics-apiserver"
_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:keda-operator"
_GROUPS = ("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}")
_INSTALLED = ("general", "crd", "service_account", "rbac")
_ADAPTER_INSTALLED = ("role.yaml", "role_binding.yaml")
_WEBHOOKS = "validation_webhooks.yaml"
_AVAILABLE_TIMEOUT_S = 90


async def start_keda(workspace: Workspace, kubectl: Kubectl, running: AsyncExitStack) -> str:
    """Install and start KEDA, and wait until external metrics are served. Returns the metrics URL of its operator."""
    await _install(kubectl)
    certificates = await asyncio.to_thread(_certificates, workspace)
    kubeconfig = await asyncio.to_thread(workspace.kubeconfig, _ACCOUNT, _GROUPS)
    keda = _Keda(workspace, certificates, kubeconfig, running)
    service, metrics = await keda.start_operator()
    await keda.start_adapter(service, kubectl)
    await keda.start_webhooks(kubectl)
    return metrics


async def _install(kubectl: Kubectl) -> None:
    config = await asyncio.to_thread(KEDA.source) / "config"
    for part in _INSTALLED:
        await kubectl.apply("-k", str(config / part))
    for part in _ADAPTER_INSTALLED:
        await kubectl.apply("-f", str(config / "metrics-server" / part))


def _certificates(workspace: Workspace) -> Path:
    """Write the content of KEDA's secret: the authority, and one server certificate for all its programs."""
    folder = workspace.folder / "keda-certificates"
    folder.mkdir()
    hosts = [f"{service}.{NAMESPACE}.svc" for service in (_ADAPTER, admission.SERVICE)]
    identity = workspace.authority.issue("keda", hosts=hosts)
    for source, name in (
        (workspace.authority.certificate, "ca.crt"),
        (identity.certificate, "tls.crt"),
        (identity.key, "tls.key"),
    ):
        shutil.copy(source, folder / name)
    return folder


@dataclass(frozen=True, slots=True)
class _Keda:
    """The programs of KEDA. They share an account and a certificate, as in a cluster."""

    workspace: Workspace
    certificates: Path
    kubeconfig: Path
    running: AsyncExitStack

    async def start_operator(self) -> tuple[str, str]:
        """Start the operator. Returns the address of its metrics service and the URL of its Prometheus metrics."""
        metrics, probe, service = (f"127.0.0.1:{free_port()}" for _ in range(3))
        program = await self._start(
            "operator",
            "keda-operator",
            f"--metrics-bind-address={metrics}",
            f"--health-probe-bind-address={probe}",
            f"--metrics-service-bind-address={service}",
            # We provide the certificates and register the API service with their authority.
            "--enable-cert-rotation=false",
            "--enable-apiservice-patching=false",
            "--enable-webhook-patching=false",
            "--zap-encoder=console",
        )
        await program.answers(f"http://{probe}/readyz")
        return service, f"http://{metrics}/metrics"

    async def start_adapter(self, service: str, kubectl: Kubectl) -> None:
        """Start the metrics adapter and wait until the API server has found it."""
        port = free_port()
        uses = ("authentication", "authorization", "lister")
        program = await self._start(
            "adapter",
            _ADAPTER,
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            f"--port={free_port()}",
            f"--metrics-service-address={service}",
            *(f"--{use}-kubeconfig={self.kubeconfig}" for use in uses),
            f"--client-ca-file={self.certificates / 'ca.crt'}",
            f"--tls-cert-file={self.certificates / 'tls.crt'}",
            f"--tls-private-key-file={self.certificates / 'tls.key'}",
        )
        trusted = await asyncio.to_thread(self.workspace.authority.certificate.read_bytes)
        await kubectl.apply_objects(_api_service(port, trusted))

        async def available() -> bool:
            status = (await kubectl.get("apiservice", API_SERVICE)).get("status", {})
            conditions = status.get("conditions", ())
            return any(c["type"] == "Available" and c["status"] == "True" for c in conditions)

        await program.until(available, "serve external metrics", seconds=_AVAILABLE_TIMEOUT_S)

    async def start_webhooks(self, kubectl: Kubectl) -> None:
        """Start the webhooks and register them. From then on they validate every object of KEDA's kinds."""
        port, probe = free_port(), f"127.0.0.1:{free_port()}"
        program = await self._start(
            "webhooks",
            admission.SERVICE,
            f"--port={port}",
            "--metrics-bind-address=0",
            f"--health-probe-bind-address={probe}",
        )
        await program.listens(port)
        trusted = await asyncio.to_thread(self.workspace.authority.certificate.read_bytes)
        manifest = await asyncio.to_thread(KEDA.source) / "config" / "webhooks" / _WEBHOOKS
        configuration = await asyncio.to_thread(
            admission.webhook_configuration, manifest, port, trusted
        )
        await kubectl.apply_objects([_local_service(admission.SERVICE, port), configuration])

    async def _start(self, program: str, name: str, *arguments: str) -> Program:
        started = await Program.start(
            await asyncio.to_thread(KEDA.binary, program),
            f"--cert-dir={self.certificates}",
            *arguments,
            name=name,
            logs=self.workspace.logs,
            environment={
                "KUBECONFIG": str(self.kubeconfig),
                "POD_NAMESPACE": NAMESPACE,
                "KEDA_CLUSTER_OBJECT_NAMESPACE": NAMESPACE,
                "WATCH_NAMESPACE": "",
                # Without it the SDK asks the EC2 metadata service, which exists only in AWS.
                "AWS_EC2_METADATA_DISABLED": "true",
            },
        )
        self.running.push_async_callback(started.stop)
        return started


def _api_service(port: int, trusted: bytes) -> list[dict[str, Any]]:
    """Return the Service and the APIService that lead the API server to the adapter."""
    group, version = "external.metrics.k8s.io", "v1beta1"
    return [
        _local_service(_ADAPTER, port),
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": API_SERVICE},
            "spec": {
                "group": group,
                "version": version,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "caBundle": base64.b64encode(trusted).decode(),
                "service": {"name": _ADAPTER, "namespace": NAMESPACE, "port": port},
            },
        },
    ]


def _local_service(service: str, port: int) -> dict[str, Any]:
    """Return a Service for a port on loopback: an external name, because endpoints may not be on loopback."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }

"""etcd and kube-apiserver, with role-based access control and the default admission plug-ins."""

import asyncio
from contextlib import AsyncExitStack

from cli.local.embedded_aws import free_port
from cluster.control_plane.binaries import ETCD, KUBERNETES
from cluster.control_plane.certificates import Authority, Identity, signing_pair
from cluster.control_plane.program import Program
from cluster.control_plane.workspace import Workspace


async def start_api_server(workspace: Workspace, running: AsyncExitStack) -> Identity:
    """Start both and wait until they serve. Returns the key that signs the tokens of service accounts."""
    storage = await _start_etcd(workspace, running)
    tokens = await asyncio.to_thread(signing_pair, workspace.folder, "service-accounts")
    arguments = await asyncio.to_thread(_arguments, workspace, storage, tokens)
    path = await asyncio.to_thread(KUBERNETES.binary, "kube-apiserver")
    program = await Program.start(
        path, *arguments, name="kube-apiserver", logs=workspace.logs, environment={}
    )
    running.push_async_callback(program.stop)
    await program.answers(f"{workspace.server}/readyz", authority=workspace.authority.certificate)
    return tokens


async def _start_etcd(workspace: Workspace, running: AsyncExitStack) -> str:
    """Start etcd and return its URL. Its data is not needed after the run, so it does not fsync."""
    url = f"http://127.0.0.1:{free_port()}"
    program = await Program.start(
        await asyncio.to_thread(ETCD.binary, "server"),
        f"--data-dir={workspace.folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:0",
        "--unsafe-no-fsync",
        name="etcd",
        logs=workspace.logs,
        environment={},
    )
    running.push_async_callback(program.stop)
    await program.answers(f"{url}/health")
    return url


def _arguments(workspace: Workspace, storage: str, tokens: Identity) -> list[str]:
    serving = workspace.authority.issue(
        "kube-apiserver", hosts=("10.96.0.1", "kubernetes.default.svc")
    )
    front = Authority.create(workspace.folder, "front-proxy-ca")
    proxy = front.issue("front-proxy-client")
    return [
        f"--etcd-servers={storage}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={workspace.server.rpartition(':')[2]}",
        # Endpoints of a Service may not be on loopback, and no program here uses the Service `kubernetes`.
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=Node,RBAC",
        # As on a real cluster, where the pod security of the namespace refuses privileged pods.
        "--allow-privileged=true",
        f"--client-ca-file={workspace.authority.certificate}",
        *_pair("tls-cert-file", "tls-private-key-file", serving),
        "--service-account-issuer=https://kubernetes.default.svc",
        *_pair("service-account-key-file", "service-account-signing-key-file", tokens),
        f"--requestheader-client-ca-file={front.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        *_pair("proxy-client-cert-file", "proxy-client-key-file", proxy),
    ]


def _pair(certificate: str, key: str, identity: Identity) -> tuple[str, str]:
    return (f"--{certificate}={identity.certificate}", f"--{key}={identity.key}")

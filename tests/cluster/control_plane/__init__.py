"""A real control plane on loopback: etcd, kube-apiserver, controllers, scheduler, kwok's nodes, KEDA.

    from cluster.control_plane import control_plane

    async with control_plane(kube_state_metrics=True) as plane:
        await plane.kubectl.apply("-k", "k8s/overlays/local")       # --server-side, validated strictly
        scaled = await plane.kubectl.get("scaledobject", "imageservice-consumer", "-n", "imageservice")
        await plane.kubectl.run("scale", "deployment/imageservice-server", "--replicas=2", "-n", "imageservice")
        plane.kubeconfig                # Path, of an administrator
        plane.keda_metrics_url          # http://127.0.0.1:PORT/metrics of KEDA's operator (keda_*), plain HTTP
        plane.kube_state_metrics_url    # http://127.0.0.1:PORT/metrics (kube_*), plain HTTP; None unless requested
        await plane.log_tails()         # the ends of all logs, for the message of a failed test

It starts in 15 s with cached programs. The custom resources of KEDA and of the Prometheus operator are installed.
On six nodes in three zones every pod is Running and Ready at once, without a container. There is no kubelet and no
metrics-server. Role-based access control and pod security are on.

If KUBECONFIG is set, nothing is started: `plane.ours` is False, the URLs of metrics are None, and that cluster needs
KEDA and the custom resources of the Prometheus operator.
"""

from cluster.control_plane.binaries import BuildFailed
from cluster.control_plane.kubectl import Kubectl, Refused
from cluster.control_plane.plane import ControlPlane, control_plane
from cluster.control_plane.program import ControlPlaneFailed

__all__ = [
    "BuildFailed",
    "ControlPlane",
    "ControlPlaneFailed",
    "Kubectl",
    "Refused",
    "control_plane",
]

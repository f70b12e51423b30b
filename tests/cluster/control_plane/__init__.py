"""A real control plane on loopback: etcd, kube-apiserver, controllers, scheduler, kwok's nodes, KEDA.

    from cluster.control_plane import control_plane

    async with control_plane(kube_state_metrics=True) as plane:
        await plane.kubectl.apply("-k", "k8s/overlays/local")       # --server-side, validated strictly
        scaled = await plane.kubectl.get("scaledobject", "imageservice-consumer", "-n", "imageservice")
        await plane.kubectl.run("scale", "deployment/imageservice-server", "--replicas=2", "-n", "imageservice")
        plane.kubeconfig                # Path, of an administrator
        plane.keda_metrics_url          # http://127.0.0.1:PORT/metrics of KEDA's operator (keda_*), plain HTTP
        plane.kube_state_metrics_url    # http://127.0.0.1:PORT/metrics (kube_*), plain HTTP; None unless asked for
        await plane.last_words()        # the ends of all logs, for a message of failure

It starts in 15 s once its programs are built, and takes them from the user's cache. The custom resources of KEDA and of
the Prometheus operator are installed. Six nodes in three zones run every pod at once, Running and Ready, without a
container; nothing else of a kubelet is there, and no metrics-server. Access control by roles and pod security are on.

With KUBECONFIG in the environment nothing is started: `plane.ours` is False, the metrics' URLs are None, and that
cluster needs KEDA and the Prometheus operator's custom resources.
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

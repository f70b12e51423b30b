"""Rules for every pod: no rights it does not need, and nothing unbounded."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates

USER = 65532
"""The image's user and group."""
_POD = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
_LEVEL = "pod-security.kubernetes.io"


def faults(objects: Sequence[Object]) -> list[str]:
    pods = [f"{pod.owner}: {fault}" for pod in pod_templates(objects) for fault in _pod_faults(pod)]
    return [*pods, *_namespace_faults(objects), *_account_faults(objects)]


def _pod_faults(pod: PodTemplate) -> Iterator[str]:
    if pod.spec.get("securityContext") != _POD:
        yield f"the pod's securityContext is not {_POD}"
    if pod.container.get("securityContext") != _CONTAINER:
        yield f"the container's securityContext is not {_CONTAINER}"
    if pod.spec.get("automountServiceAccountToken") is not False:
        yield "a token of Kubernetes is mounted"
    for volume in pod.spec.get("volumes", []):
        if "sizeLimit" not in volume.get("emptyDir", {}):
            yield f"volume {volume['name']} is not an emptyDir of a limited size"
    yield from _resource_faults(pod.container.get("resources", {}))


def _resource_faults(resources: Mapping[str, Any]) -> Iterator[str]:
    requests, limits = resources.get("requests", {}), resources.get("limits", {})
    if "cpu" not in requests or "memory" not in requests:
        yield "it requests no CPU or no memory"
    if limits != {"memory": requests.get("memory")}:
        yield "its limits are not the memory that it requests, and nothing else"


def _namespace_faults(objects: Sequence[Object]) -> Iterator[str]:
    for each in of_kind(objects, "Namespace"):
        labels = each["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            if labels.get(f"{_LEVEL}/{mode}") != "restricted":
                yield f"pods are not restricted: {mode}"


def _account_faults(objects: Sequence[Object]) -> Iterator[str]:
    for each in of_kind(objects, "ServiceAccount"):
        if each.get("automountServiceAccountToken") is not False:
            yield f"ServiceAccount/{each['metadata']['name']}: its token is mounted"

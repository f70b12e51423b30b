"""Selectors and scaling targets: each selector selects the intended pods, each target exists and has one autoscaler."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates, title


def faults(objects: Sequence[Object]) -> list[str]:
    pods = list(pod_templates(objects))
    return [
        *_selector_faults(objects, pods),
        *_own_selector_faults(objects, pods),
        *_scaling_faults(objects),
        *_namespace_faults(objects),
    ]


def _selector_faults(objects: Iterable[Object], pods: Sequence[PodTemplate]) -> Iterator[str]:
    """Yield wrong selectors. A NetworkPolicy may select several workloads; all other kinds exactly one."""
    for each in objects:
        selector = _selector(each)
        if selector is None:
            continue
        selected = [pod.owner for pod in pods if pod.matches(selector)]
        if not selected:
            yield f"{title(each)}: selects no pod"
        elif each["kind"] != "NetworkPolicy" and len(selected) > 1:
            yield f"{title(each)}: selects {', '.join(selected)}"


def _selector(each: Object) -> Mapping[str, Any] | None:
    spec = each.get("spec", {})
    match each["kind"]:
        case "Service":
            return {"matchLabels": spec["selector"]}
        case "PodDisruptionBudget" | "PodMonitor":
            return dict(spec["selector"])
        case "NetworkPolicy":
            return dict(spec["podSelector"])
    return None


def _own_selector_faults(objects: Iterable[Object], pods: Sequence[PodTemplate]) -> Iterator[str]:
    """Yield selectors of a workload that do not select exactly its own pods."""
    workloads = {title(each): each for each in objects}
    for pod in pods:
        own = workloads[pod.owner]["spec"].get("selector")
        spread = [each["labelSelector"] for each in pod.spec.get("topologySpreadConstraints", [])]
        for selector in [*([own] if own else []), *spread]:
            selected = [each.owner for each in pods if each.matches(selector)]
            if selected != [pod.owner]:
                yield f"{pod.owner}: its selector selects {', '.join(selected) or 'no pod'}"


def _scaling_faults(objects: Sequence[Object]) -> Iterator[str]:
    deployments = {each["metadata"]["name"]: each for each in of_kind(objects, "Deployment")}
    scalers = [*of_kind(objects, "HorizontalPodAutoscaler"), *of_kind(objects, "ScaledObject")]
    autoscalers = Counter(each["spec"]["scaleTargetRef"]["name"] for each in scalers)
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        kind, name = target.get("kind", "Deployment"), target["name"]
        if kind != "Deployment" or name not in deployments:
            yield f"{title(scaler)}: no {kind} {name}"
        else:
            yield from _metric_faults(scaler, deployments[name])
    for name, deployment in deployments.items():
        if autoscalers[name] > 1:
            yield f"{title(deployment)}: it has two autoscalers"
        if ("replicas" in deployment["spec"]) == bool(autoscalers[name]):
            yield f"{title(deployment)}: replicas must be set either by an autoscaler or by the manifest"


def _metric_faults(scaler: Object, deployment: Object) -> Iterator[str]:
    containers = {each["name"] for each in deployment["spec"]["template"]["spec"]["containers"]}
    for metric in scaler["spec"].get("metrics", []):
        measured = metric.get("containerResource", {}).get("container")
        if measured is not None and measured not in containers:
            yield f"{title(scaler)}: no container {measured}"


def _namespace_faults(objects: Iterable[Object]) -> Iterator[str]:
    """Yield objects that are not in the namespace of the installation."""
    everything = list(objects)
    (namespace,) = of_kind(everything, "Namespace")
    for each in everything:
        if each is not namespace:
            found = each["metadata"].get("namespace")
            if found != namespace["metadata"]["name"]:
                yield f"{title(each)}: is in the namespace {found}"

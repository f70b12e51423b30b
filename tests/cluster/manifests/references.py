"""References between objects: each referenced name, key and port must exist. No linter here checks this."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cluster.manifests.overlays import Object
from cluster.manifests.pods import PodTemplate, of_kind, pod_templates, title

Names = Mapping[tuple[str, str], Object]
"""Objects by kind and name."""


def faults(objects: Sequence[Object]) -> list[str]:
    names = {(each["kind"], each["metadata"]["name"]): each for each in objects}
    return [
        *_pod_faults(objects, names),
        *_port_faults(objects),
        *_authentication_faults(objects, names),
    ]


def _pod_faults(objects: Iterable[Object], names: Names) -> Iterator[str]:
    for pod in pod_templates(objects):
        account = pod.spec.get("serviceAccountName", "default")
        if ("ServiceAccount", account) not in names:
            yield f"{pod.owner}: no ServiceAccount {account}"
        for kind, name, key in _configuration(pod):
            if fault := _missing(names, kind, name, key):
                yield f"{pod.owner}: {fault}"
        yield from _probe_faults(pod)
        yield from _volume_faults(pod)


def _configuration(pod: PodTemplate) -> Iterator[tuple[str, str, str | None]]:
    """Yield kind, name and key of each source of the environment that is not optional."""
    for source in pod.container.get("envFrom", []):
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field in source and not source[field].get("optional"):
                yield kind, source[field]["name"], None
    for variable in pod.container.get("env", []):
        source = variable.get("valueFrom", {})
        for field, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field in source and not source[field].get("optional"):
                yield kind, source[field]["name"], source[field]["key"]


def _missing(names: Names, kind: str, name: str, key: str | None) -> str:
    found = names.get((kind, name))
    if found is None:
        return f"no {kind} {name}"
    if key is not None and key not in found.get("data", {}):
        return f"{kind} {name} has no {key}"
    return ""


def _probe_faults(pod: PodTemplate) -> Iterator[str]:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        for way in ("httpGet", "grpc", "tcpSocket"):
            port = pod.container.get(probe, {}).get(way, {}).get("port")
            if port is not None and port not in pod.ports():
                yield f"{pod.owner}: {probe}: no port {port}"


def _volume_faults(pod: PodTemplate) -> Iterator[str]:
    mounted = {each["name"] for each in pod.container.get("volumeMounts", [])}
    there = {each["name"] for each in pod.spec.get("volumes", [])}
    for name in sorted(mounted ^ there):
        yield f"{pod.owner}: volume {name} is not both there and mounted"


def _port_faults(objects: Sequence[Object]) -> Iterator[str]:
    """Yield a fault for each named port that a selected pod does not have."""
    pods = list(pod_templates(objects))
    for each, selector, port in _named_ports(objects):
        for pod in pods:
            if pod.matches(selector) and port not in pod.ports():
                yield f"{title(each)}: {pod.owner} has no port {port}"


def _named_ports(objects: Iterable[Object]) -> Iterator[tuple[Object, Mapping[str, Any], Any]]:
    """Yield each object that names a port, with its pod selector and the port."""
    for each in objects:
        spec = each.get("spec", {})
        match each["kind"]:
            case "Service":
                for port in spec["ports"]:
                    yield (
                        each,
                        {"matchLabels": spec["selector"]},
                        port.get("targetPort", port["port"]),
                    )
            case "PodMonitor":
                for endpoint in spec["podMetricsEndpoints"]:
                    yield each, spec["selector"], endpoint["port"]
            case "NetworkPolicy":
                for rule in spec.get("ingress", []):
                    for port in rule["ports"]:
                        yield each, spec["podSelector"], port["port"]


def _authentication_faults(objects: Iterable[Object], names: Names) -> Iterator[str]:
    for each in of_kind(objects, "ScaledObject"):
        for trigger in each["spec"]["triggers"]:
            kind = trigger["authenticationRef"].get("kind", "TriggerAuthentication")
            if fault := _missing(names, kind, trigger["authenticationRef"]["name"], None):
                yield f"{title(each)}: {fault}"
    for each in of_kind(objects, "TriggerAuthentication"):
        for source in each["spec"].get("secretTargetRef", []):
            if fault := _missing(names, "Secret", source["name"], source["key"]):
                yield f"{title(each)}: {fault}"

"""Pod templates of all kinds of workloads."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.manifests.overlays import Object

COMPONENT = "app.kubernetes.io/component"


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """A pod template. `owner` is its workload as kind/name."""

    owner: str
    labels: Mapping[str, str]
    spec: Mapping[str, Any]

    @property
    def component(self) -> str:
        return self.labels.get(COMPONENT, "")

    @property
    def container(self) -> Mapping[str, Any]:
        """The container. Every pod of ours has exactly one."""
        (container,) = self.spec["containers"]
        return dict(container)

    def ports(self) -> set[str | int]:
        """Return names and numbers of the container ports. A reference may use either."""
        ports = self.container.get("ports", [])
        return {port[way] for port in ports for way in ("name", "containerPort")}

    def port(self, name: str) -> int:
        (port,) = (each for each in self.container["ports"] if each["name"] == name)
        return int(port["containerPort"])

    def matches(self, selector: Mapping[str, Any]) -> bool:
        """Return whether a label selector selects these pods. An empty one selects all pods."""
        wanted: Mapping[str, str] = selector.get("matchLabels", {})
        return wanted.items() <= self.labels.items() and all(
            self._is_in(each) for each in selector.get("matchExpressions", [])
        )

    def _is_in(self, expression: Mapping[str, Any]) -> bool:
        if expression["operator"] != "In":
            raise NotImplementedError(f"a selector with {expression['operator']}")
        return self.labels.get(expression["key"]) in expression["values"]


def title(each: Object) -> str:
    return f"{each['kind']}/{each['metadata']['name']}"


def of_kind(objects: Iterable[Object], kind: str) -> list[Object]:
    return [each for each in objects if each["kind"] == kind]


def pod_templates(objects: Iterable[Object]) -> Iterator[PodTemplate]:
    """Yield the pod templates, found by their structure, so that no kind of workload is missed."""
    for each in objects:
        spec = each.get("spec", {})
        template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
        if template is not None:
            yield PodTemplate(title(each), template["metadata"]["labels"], template["spec"])

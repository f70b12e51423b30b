"""Validation of objects with the schemas of Kubernetes, and of custom resources with their CRDs."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from cluster.control_plane.binaries import KEDA, PROMETHEUS_OPERATOR
from cluster.manifests.overlays import Object
from cluster.manifests.pods import title

VERSIONS = ("1.35", "1.36", "1.37")
"""The two newest versions of EKS and the next one."""


def faults(objects: Iterable[Object], version: str) -> list[str]:
    """Return a line for each fault, and for each object without a schema, because it is not checked."""
    found = []
    for each in objects:
        definition = definition_of(each["apiVersion"], each["kind"])
        faults_found = _native(each, version) if definition is None else _custom(each, definition)
        found += [f"{title(each)}: {fault}" for fault in faults_found]
    return found


def _native(each: Object, version: str) -> Iterator[str]:
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        yield f"no schema of {each['apiVersion']} {each['kind']}: it is not checked"
    except kubernetes_validate.ValidationError as error:
        yield f"{error.json_path}: {error.message}"


def _custom(each: Object, definition: Mapping[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(definition).iter_errors(each):
        yield f"{error.json_path}: {error.message}"


@cache
def definition_of(api_version: str, kind: str) -> Mapping[str, Any] | None:
    """Return the schema of a custom resource from the Go module that defines it, or None."""
    group, _, version = api_version.rpartition("/")
    for file in _files(f"{group}_{kind.lower()}s"):
        for crd in yaml.load_all(file.read_text(encoding="utf-8"), Loader=_Loader):
            for offered in crd["spec"]["versions"] if crd else ():
                if offered["name"] == version:
                    return _standalone(offered["schema"]["openAPIV3Schema"])
    return None


def _files(stem: str) -> list[Path]:
    folders = (
        KEDA.source() / "config" / "crd" / "bases",
        PROMETHEUS_OPERATOR.source() / "example" / "prometheus-operator-crd",
    )
    return [file for folder in folders for file in folder.glob("*.yaml") if _stem(file) == stem]


def _stem(file: Path) -> str:
    return file.stem.removesuffix("_crd")


def _standalone(schema: dict[str, Any]) -> Mapping[str, Any]:
    closed: dict[str, Any] = _closed(schema)
    # A CRD defines metadata only as an object. The API server validates it.
    closed["properties"]["metadata"] = {"type": "object"}
    return closed


def _closed(schema: Any) -> Any:
    """Forbid fields that a schema does not name. The API server would remove them silently."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    open_to_any = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if isinstance(schema.get("properties"), dict) and not open_to_any:
        closed.setdefault("additionalProperties", False)
    return closed


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """YAML loader that reads `=` as a string, as Kubernetes does."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)

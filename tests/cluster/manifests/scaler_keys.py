"""Keys in the metadata of a KEDA trigger, checked with KEDA's schema of scalers. The CRD allows any key."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from cluster.control_plane.binaries import KEDA
from cluster.manifests.overlays import Object
from cluster.manifests.pods import of_kind, title

_DEPRECATED = frozenset({"identityOwner"})
"""Deprecated since KEDA 2.13 in favour of `podIdentity` of a TriggerAuthentication. The schema does not say so."""


def faults(objects: Iterable[Object]) -> list[str]:
    everything = list(objects)
    given = {
        each["metadata"]["name"]: _given(each)
        for each in of_kind(everything, "TriggerAuthentication")
    }
    return [
        f"{title(scaled)}: trigger {trigger['type']}: {fault}"
        for scaled in of_kind(everything, "ScaledObject")
        for trigger in scaled["spec"]["triggers"]
        for fault in _trigger_faults(trigger, given)
    ]


def _given(authentication: Object) -> set[str]:
    """Return the parameters that a TriggerAuthentication passes to a trigger."""
    return {each["parameter"] for each in authentication["spec"].get("secretTargetRef", [])}


def _trigger_faults(trigger: Mapping[str, Any], given: Mapping[str, set[str]]) -> Iterator[str]:
    scaler = scalers().get(trigger["type"])
    if scaler is None:
        yield "KEDA has no such scaler"
        return
    known = {each["name"] for each in scaler if each.get("metadataVariableReadable")}
    metadata = trigger["metadata"]
    for key in sorted(metadata.keys() - known):
        yield f"no such key: {key}"
    for key in sorted(metadata.keys() & _DEPRECATED):
        yield f"{key} is deprecated"
    authentication = trigger.get("authenticationRef", {}).get("name", "")
    for each in scaler:
        optional = each.get("optional") or "default" in each
        if not optional and each["name"] not in metadata.keys() | given.get(authentication, set()):
            yield f"{each['name']} is missing"
        allowed = each.get("allowedValue")
        if allowed and metadata.get(each["name"], allowed[0]) not in allowed:
            yield f"{each['name']} must be one of {', '.join(allowed)}"
    for key, value in metadata.items():
        if not isinstance(value, str) or not value:
            yield f"{key}: {value!r} is no text"


@cache
def scalers() -> dict[str, list[dict[str, Any]]]:
    """Return the parameters of each scaler, by its type."""
    file = KEDA.source() / "schema" / "generated" / "scalers-schema.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    return {each["type"]: each["parameters"] for each in content["scalers"]}

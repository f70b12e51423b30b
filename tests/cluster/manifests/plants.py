"""Planting of faults: a change at a path of one object."""

from collections.abc import Sequence
from typing import Any

from cluster.manifests.overlays import Object

REMOVED = object()


def find(objects: Sequence[Object], title: str) -> Object:
    """Return the object whose kind/name starts with `title`, because generated names end in a hash."""
    kind, _, name = title.partition("/")
    found = [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"]["name"].startswith(name)
    ]
    assert found, f"no {title}"
    return found[0]


def plant(objects: Sequence[Object], title: str, path: str, value: Any) -> None:
    """Set the value at a dotted path, or remove it. A number is an index, and | stands for a dot."""
    place: Any = find(objects, title)
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step.replace("|", ".")]
    key: Any = int(last) if isinstance(place, list) else last.replace("|", ".")
    if value is REMOVED:
        del place[key]
    else:
        place[key] = value

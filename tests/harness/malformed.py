"""Makes malformed answers from a valid one: a member missing or of another type, an entry too few or too many."""

import copy
from collections.abc import Collection, Iterator
from typing import Any

Path = tuple[str | int, ...]

_VALUES: tuple[Any, ...] = (None, True, 7, "text", [], {})
"""One value of each JSON type."""


def malformed(
    answer: Any,
    *,
    optional: Collection[Path] = (),
    shorter: Collection[Path] = (),
    longer: Collection[Path] = (),
    unread: Collection[Path] = (),
) -> Iterator[tuple[str, Any]]:
    """Yield malformed copies of a valid answer, each with its description.

    `optional` members may be missing or null, `shorter` lists may have fewer entries, `longer` ones more, and what is
    below `unread` is not read. In a list, only the first entry is changed.
    """
    for path, value in _walk((), answer, unread):
        for other in _VALUES:
            if type(other) is not type(value) and not (other is None and path in optional):
                yield f"{path} is {other!r}", _replaced(answer, path, other)
        if path and isinstance(path[-1], str) and path not in optional:
            yield f"{path} is missing", _without(answer, path)
        if isinstance(value, list) and value:
            if path not in shorter:
                yield f"{path} has an entry too few", _replaced(answer, path, value[:-1])
            if path not in longer:
                yield f"{path} has an entry too many", _replaced(answer, path, [*value, value[-1]])


def _walk(path: Path, value: Any, unread: Collection[Path]) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if path in unread:
        return
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _walk((*path, name), each, unread)
    elif isinstance(value, list) and value:
        yield from _walk((*path, 0), value[0], unread)


def _replaced(answer: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(answer)
    _parent(changed, path)[path[-1]] = copy.deepcopy(value)
    return changed


def _without(answer: Any, path: Path) -> Any:
    changed = copy.deepcopy(answer)
    del _parent(changed, path)[path[-1]]
    return changed


def _parent(answer: Any, path: Path) -> Any:
    for step in path[:-1]:
        answer = answer[step]
    return answer

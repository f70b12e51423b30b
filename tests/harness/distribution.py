"""The order in which pytest-xdist's workers get the tests: slow modules first, spread over the workers."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeVar

LEVEL_LIMITS_S = {
    "chaos": 300,
    "acceptance": 300,
    "integration": 120,
    "robustness": 120,
    "unit": 60,
}
"""Seconds that pytest-timeout gives a test of each level. They are several times the budgets in CONTRIBUTING.md: only a
hang or a very busy machine reaches them."""
LEVEL_COSTS = {"chaos": 50, "acceptance": 50, "integration": 10, "robustness": 5, "unit": 1}
"""The duration of a test of each level, relative to a unit test."""
MAX_COUNTED = 8
"""A module with more tests than this has small ones, for example one for each row of a table."""


class Located(Protocol):
    @property
    def path(self) -> Path: ...


T = TypeVar("T", bound=Located)


def level_of(path: Path) -> str | None:
    """Return the level of a test file; None if it belongs to none."""
    return next((part for part in path.parts if part in LEVEL_LIMITS_S), None)


def distribute(items: Sequence[T], workers: int) -> list[T]:
    """Reorder tests so that each worker begins with its share of the slow modules.

    `--dist worksteal` gives each worker a contiguous part of the list and lets idle workers steal from the end of a
    part. So each part begins with whole slow modules, which can share fixtures, and ends with unit tests. The order
    within a level stays as it is, which is random.
    """
    modules = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    slow = [module for module in modules if _cost(module[0]) > LEVEL_COSTS["unit"]]
    fast = [
        item for module in modules if _cost(module[0]) <= LEVEL_COSTS["unit"] for item in module
    ]
    parts: list[list[T]] = [[] for _ in range(workers)]
    costs = [0] * workers
    for module in sorted(slow, key=lambda module: -_cost(module[0])):
        cheapest = costs.index(min(costs))
        parts[cheapest] += module
        costs[cheapest] += _cost(module[0]) * min(len(module), MAX_COUNTED)
    return [item for part in _filled(parts, fast) for item in part]


def _cost(item: Located) -> int:
    return LEVEL_COSTS.get(level_of(item.path) or "unit", 1)


def _filled(parts: list[list[T]], fast: list[T]) -> list[list[T]]:
    """Add the fast tests so that the parts have the sizes at which xdist cuts the list."""
    left = sum(map(len, parts)) + len(fast)
    for number, part in enumerate(parts):
        size = left // (len(parts) - number)
        missing = max(0, size - len(part))
        part.extend(fast[:missing])
        fast = fast[missing:]
        left -= size
    parts[-1] += fast
    return parts

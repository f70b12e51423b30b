"""The order of the tests over pytest-xdist's workers."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.distribution import distribute, level_of


@dataclass(frozen=True)
class Item:
    path: Path
    number: int


def module(level: str, name: str, count: int) -> list[Item]:
    return [Item(Path("tests", level, f"test_{name}.py"), number) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
def test_each_worker_begins_with_slow_modules_and_no_test_is_lost(workers: int) -> None:
    """xdist cuts the list into equal parts. Each begins with the acceptance or chaos tests, whole modules of them."""
    slow = [test for name in "abcd" for test in module("chaos", name, 3)]
    slow += [test for name in "abcd" for test in module("acceptance", name, 3)]
    items = [*module("unit", "a", 408), *slow, *module("integration", "b", 48)]
    order = distribute(items, workers)
    assert sorted(order, key=items.index) == items
    size = len(items) // workers
    for first in range(0, len(items), size):
        part = [level_of(item.path) for item in order[first : first + size]]
        assert set(part[:6]) <= {"chaos", "acceptance"}
        assert part[-1] == "unit"


def test_slow_tests_alone_keep_their_modules_together() -> None:
    items = [*module("chaos", "a", 5), *module("chaos", "b", 3)]
    order = distribute(items, 3)
    assert order == items

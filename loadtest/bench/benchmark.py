"""The types of a benchmark, and the arithmetic of its rounds."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from loadtest.bench.thresholds import Threshold

NULL = "null"
EMBEDDED = "embedded"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, with a value for each round.

    `threshold` is None for a figure that only explains others. `note` explains the figure in a few words.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    threshold: Threshold | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """How to run a benchmark: on which backend, and how many rounds."""

    backend: str
    rounds: int = 5
    quick: bool = False

    @property
    def seconds(self) -> float:
        """Length of one measured part."""
        return 1.5 if self.quick else 5.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`title` is the heading of its table. `backends` are those that `run` supports."""

    name: str
    title: str
    backends: tuple[str, ...]
    run: Callable[[Trial], Awaitable[Sequence[Figure]]]


@dataclass(frozen=True, slots=True)
class Spread:
    median: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread:
    """Return median and range. Raises ValueError without values."""
    if not values:
        raise ValueError("no round was measured")
    return Spread(statistics.median(values), min(values), max(values))


def ratios(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, ...]:
    """Divide round by round, because the load of the machine differs between rounds."""
    return tuple(over / under for over, under in zip(numerators, denominators, strict=True))


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the sorted values lie."""
    return ordered[int(share * (len(ordered) - 1))]


def balanced_order(subjects: Sequence[T]) -> tuple[T, ...]:
    """Order the turns of a round as A, B, B, A, so that an even drift of the machine affects all subjects alike."""
    return (*subjects, *reversed(subjects))

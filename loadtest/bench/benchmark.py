"""What a benchmark is: something that is run for some rounds and answers figures."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from loadtest.bench.goal import Goal

NULL = "null"
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, with a value for each round.

    `goal` is what it must reach, None for a figure that only explains others. `note` says in a few words what it means.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    goal: Goal | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """How to run: `rounds` pairs, each of parts of `seconds`, on `backend`."""

    backend: str
    rounds: int = 5
    quick: bool = False

    @property
    def seconds(self) -> float:
        """Length of one measured part."""
        return 1.5 if self.quick else 5.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """`backends` are those on which it makes sense; `title` is the row's in the table."""

    name: str
    title: str
    backends: tuple[str, ...]
    run: Callable[[Trial], Awaitable[Sequence[Figure]]]

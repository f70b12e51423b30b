"""What a benchmark is: something that is run for some rounds and answers figures."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

NULL = "null"
EMBEDDED = "embedded"
NONE = "none"
"""Of a benchmark that asks nothing of AWS."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, with a value for each round.

    `goal` is what it must reach, in words ("at most 2.0"), empty for a figure that only explains others. `note` is one
    sentence about what it means.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    goal: str = ""
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

"""What a figure is held against. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    MISSED = "missed"
    REACHED = "reached"
    AIM_REACHED = "aim reached"


@dataclass(frozen=True, slots=True)
class Goal:
    """What a median must reach and what we aim at, both in the figure's unit, the limit itself included.

    `at_least` is true where more is better.
    """

    must: float
    aim: float | None = None
    at_least: bool = False

    def verdict(self, median: float) -> Verdict:
        """Of the median as measured, not as rounded for people."""
        if not self._meets(median, self.must):
            return Verdict.MISSED
        if self.aim is not None and self._meets(median, self.aim):
            return Verdict.AIM_REACHED
        return Verdict.REACHED

    def _meets(self, median: float, limit: float) -> bool:
        return median >= limit if self.at_least else median <= limit

    def __str__(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.must:,g}"

"""The limit and the target of each published figure. The same values apply on every AWS."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    MISSED = "missed"
    MET = "met"
    TARGET_MET = "target met"


@dataclass(frozen=True, slots=True)
class Threshold:
    """The limits for the median of a figure, in its unit. Limits are inclusive.

    `limit` is required, `target` is what we aim at. With `at_least`, larger is better.
    """

    limit: float
    target: float | None = None
    at_least: bool = False

    def verdict(self, median: float) -> Verdict:
        """Judge the median as measured, before it is rounded for display."""
        if not self._meets(median, self.limit):
            return Verdict.MISSED
        if self.target is not None and self._meets(median, self.target):
            return Verdict.TARGET_MET
        return Verdict.MET

    def _meets(self, median: float, bound: float) -> bool:
        return median >= bound if self.at_least else median <= bound

    def __str__(self) -> str:
        return f"at {'least' if self.at_least else 'most'} {self.limit:,g}"


# Ratios are ours divided by the other's.
DURABLE_OVER_EMPTY = Threshold(2.0, target=1.3)
"""Server CPU of a durable submit over an empty handler."""
BULK_OVER_UNARY = Threshold(0.5, target=0.33)
"""Server CPU of an image in a stream over a unary call."""
BySize = Mapping[str, Threshold]
"""By the name of a kind of images."""
FULL_OVER_GO_TURBO: BySize = {
    "20 KB": Threshold(1.2, target=1.0),
    "150 KB": Threshold(1.1, target=1.0),
}
"""Consumer CPU per image, here and below."""
DRAFT_OVER_GO_TURBO_DRAFT: BySize = {
    "20 KB": Threshold(1.2, target=1.0),
    "150 KB": Threshold(1.0, target=0.9),
}
FULL_OVER_GO: BySize = {
    "20 KB": Threshold(0.6, target=0.5),
    "150 KB": Threshold(0.4, target=0.35),
}
FULL_OVER_IMG2DATASET: BySize = {
    "20 KB": Threshold(1.3, target=0.9),
    "150 KB": Threshold(1.05, target=0.8),
}
HEADER_OVER_IMG2DATASET = Threshold(1.3, target=1.0)
"""Both held to one core."""
CALLS_PER_IMAGE = Threshold(2.0, target=1.6)
PRICE_PER_MILLION = Threshold(8.0, target=7.8)
"""USD."""
WATCH_P99 = Threshold(1_000, target=250)
"""Milliseconds, by polling."""
PUSHED_P99 = Threshold(100, target=25)
"""Milliseconds, with Redis."""
SEARCH_P99 = Threshold(500, target=100)
"""Milliseconds, among a million images. The server treats the engine as down after two seconds."""
MEMORY = Threshold(1.2)
"""Resident memory after ten times the work."""

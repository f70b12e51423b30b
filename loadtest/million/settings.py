"""What a run is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.million.items import SUBMITS_OF_A_BODY
from loadtest.run_report.record import Cell


@dataclass(frozen=True, slots=True)
class RunSettings:
    requests: int
    window: int
    """Most items unfinished at a time; does not count with a rate."""
    rate: float | None
    """Items a second of an open loop; None is a closed loop."""
    customers: int
    bodies: int | None
    streams: int
    unary: bool
    watch: bool
    """Learn of ends by WatchRequest even where notifications could tell."""
    patience: float
    """Seconds without any news after which waiting ends, and for which a read of the proof is tried."""
    note: str
    """What the report shall say of the system, in its user's words."""

    @property
    def distinct_bodies(self) -> int:
        """As asked for, or as many as are submitted ten times each."""
        return min(self.requests, self.bodies or max(1, self.requests // SUBMITS_OF_A_BODY))

    def for_report(self) -> Mapping[str, Cell]:
        return {
            "requests": self.requests,
            "loop": f"closed, {self.window:,} unfinished at most"
            if self.rate is None
            else f"open, {self.rate:g} a second",
            "customers": self.customers,
            "distinct bodies": self.distinct_bodies,
            "submitted by": "SubmitImage"
            if self.unary
            else f"SubmitImages, {self.streams} streams",
            **({"note": self.note} if self.note else {}),
        }

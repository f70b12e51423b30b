"""What a run is asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass

from loadtest.run_report.record import Cell
from loadtest.walk.choice import EVERYTHING, Choice


@dataclass(frozen=True, slots=True)
class WalkSettings:
    requests: int
    """Submitted before the first walk."""
    customers: int
    rate: float
    """Requests a second that are submitted while lists are walked."""
    at_once: int
    """Customers whose lists are walked at a time."""
    streams: int
    patience: float
    """Seconds without any news after which waiting ends, and for which a call that fails is made again."""
    note: str
    """What the report shall say of the system, in its user's words."""
    only: frozenset[Choice] = EVERYTHING
    """What is walked."""

    def for_report(self) -> Mapping[str, Cell]:
        return {
            "requests": self.requests,
            "customers": self.customers,
            "submitted meanwhile": f"{self.rate:g} a second",
            "customers walked at a time": self.at_once,
            **({} if self.only == EVERYTHING else {"walked only": ", ".join(sorted(self.only))}),
            **({"note": self.note} if self.note else {}),
        }

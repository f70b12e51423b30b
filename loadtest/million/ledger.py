"""The state of every item, in a few bytes each: a million items must not load the machine under test."""

import enum
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

COMPLETED, FAILED = "COMPLETED", "FAILED"


class Mark(enum.IntFlag):
    ACKNOWLEDGED = 1
    ENDED = 2
    """A terminal outcome was reported."""
    REJECTED = 4
    """The service returned a permanent error."""
    FAILED = 8
    """The reported outcome is a failure."""


_ACKNOWLEDGED, _ENDED, _REJECTED, _FAILED = (
    int(mark) for mark in (Mark.ACKNOWLEDGED, Mark.ENDED, Mark.REJECTED, Mark.FAILED)
)


class Outcome(NamedTuple):
    """The reported end of an item."""

    state: str
    revision: int


class Ledger:
    """Records events by item number. `acknowledge`, `reject` and `end` return whether the event is the first."""

    def __init__(self, total: int) -> None:
        self._marks = bytearray(total)
        self._revisions = array("L", bytes(total * array("L").itemsize))
        self._started = array("d", bytes(total * array("d").itemsize))
        self._messages = array("q", bytes(total * array("q").itemsize))
        self.acknowledged_twice: list[int] = []
        self.ended_twice: list[int] = []
        """Items with two terminal revisions. Only retry-failed may cause that, and a run does not use it."""
        self.repeated = 0
        """Further notifications of the same revision. The contract allows them."""
        self.redelivered = 0
        """Further deliveries of the same notification. A standard queue may repeat a delivery."""
        self.outcomes: Counter[str] = Counter()
        """Ended items by COMPLETED or failure code."""
        self.acknowledged = 0
        self.rejected = 0

    def start(self, number: int, at: float) -> None:
        """`at` is the time when the item was due, on the clock of the caller."""
        self._started[number] = at

    def started(self, number: int) -> float:
        return self._started[number]

    def acknowledge(self, number: int) -> bool:
        if self._marks[number] & _ACKNOWLEDGED:
            self.acknowledged_twice.append(number)
            return False
        self._marks[number] |= _ACKNOWLEDGED
        self.acknowledged += 1
        return True

    def reject(self, number: int) -> bool:
        if self._marks[number] & _REJECTED:
            return False
        self._marks[number] |= _REJECTED
        self.rejected += 1
        return True

    def end(self, number: int, revision: int, outcome: str, message: str = "") -> bool:
        """`outcome` is COMPLETED or a failure code; `message` is the id of the message that delivered it."""
        if self._marks[number] & _ENDED:
            if self._revisions[number] != revision:
                self.ended_twice.append(number)
            elif message and self._messages[number] == hash(message):
                self.redelivered += 1
            else:
                self.repeated += 1
            return False
        self._marks[number] |= _ENDED if outcome == COMPLETED else _ENDED | _FAILED
        self._revisions[number] = revision
        self._messages[number] = hash(message)
        self.outcomes[outcome] += 1
        return True

    def outcome_of(self, number: int) -> Outcome | None:
        """Return the first reported outcome; None before the end."""
        marks = self._marks[number]
        if not marks & _ENDED:
            return None
        return Outcome(FAILED if marks & _FAILED else COMPLETED, self._revisions[number])

    def finished(self, number: int) -> bool:
        """Return whether the item is acknowledged and ended, or rejected."""
        marks = self._marks[number]
        return bool(marks & _REJECTED) or marks & (_ACKNOWLEDGED | _ENDED) == _ACKNOWLEDGED | _ENDED

    @property
    def answered(self) -> int:
        """Items that are acknowledged or rejected."""
        return self.acknowledged + self.rejected

    @property
    def ended(self) -> int:
        return self.outcomes.total()

    def all_acknowledged(self) -> Iterator[int]:
        return (n for n, marks in enumerate(self._marks) if marks & _ACKNOWLEDGED)

    def without_outcome(self) -> Iterator[int]:
        """Yield acknowledged items whose end was not reported."""
        return (
            n
            for n, marks in enumerate(self._marks)
            if marks & (_ACKNOWLEDGED | _ENDED) == _ACKNOWLEDGED
        )

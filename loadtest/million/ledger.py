"""What is known of every item. A few bytes each: a million of them must not weigh on the machine under test."""

import enum
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

COMPLETED, FAILED = "COMPLETED", "FAILED"


class Mark(enum.IntFlag):
    ACKNOWLEDGED = 1
    TOLD = 2
    REFUSED = 4
    """The service said no, for good."""
    FAILED = 8
    """Told that it failed."""


_ACKNOWLEDGED, _TOLD, _REFUSED, _FAILED = (
    int(mark) for mark in (Mark.ACKNOWLEDGED, Mark.TOLD, Mark.REFUSED, Mark.FAILED)
)


class Told(NamedTuple):
    """What the customer was told of an item's end."""

    state: str
    revision: int


class Ledger:
    """Each method takes an item's number, and answers whether this is news."""

    def __init__(self, total: int) -> None:
        self._marks = bytearray(total)
        self._revisions = array("L", bytes(total * array("L").itemsize))
        self._begun = array("d", bytes(total * array("d").itemsize))
        self._messages = array("q", bytes(total * array("q").itemsize))
        self.acknowledged_twice: list[int] = []
        self.told_otherwise: list[int] = []
        """Told of a second terminal revision, without a redrive having been asked for."""
        self.repeats = 0
        """Notifications of a revision that was told before: allowed, and counted."""
        self.redelivered = 0
        """The same notification once more, as a standard queue may deliver it."""
        self.ended: Counter[str] = Counter()
        """Items told of, by COMPLETED or failure code."""
        self.acknowledged = 0
        self.refused = 0

    def begin(self, number: int, at: float) -> None:
        """`at` is when it was to be sent, on the clock of the caller."""
        self._begun[number] = at

    def begun(self, number: int) -> float:
        return self._begun[number]

    def acknowledge(self, number: int) -> bool:
        if self._marks[number] & _ACKNOWLEDGED:
            self.acknowledged_twice.append(number)
            return False
        self._marks[number] |= _ACKNOWLEDGED
        self.acknowledged += 1
        return True

    def refuse(self, number: int) -> bool:
        if self._marks[number] & _REFUSED:
            return False
        self._marks[number] |= _REFUSED
        self.refused += 1
        return True

    def tell(self, number: int, revision: int, outcome: str, message: str = "") -> bool:
        """`outcome` is COMPLETED or a failure code; `message` is the id of the message that brought it."""
        if self._marks[number] & _TOLD:
            if self._revisions[number] != revision:
                self.told_otherwise.append(number)
            elif message and self._messages[number] == hash(message):
                self.redelivered += 1
            else:
                self.repeats += 1
            return False
        self._marks[number] |= _TOLD if outcome == COMPLETED else _TOLD | _FAILED
        self._revisions[number] = revision
        self._messages[number] = hash(message)
        self.ended[outcome] += 1
        return True

    def told_of(self, number: int) -> Told | None:
        """The end that was told first; None where nothing was told."""
        marks = self._marks[number]
        if not marks & _TOLD:
            return None
        return Told(FAILED if marks & _FAILED else COMPLETED, self._revisions[number])

    def finished(self, number: int) -> bool:
        """Acknowledged and told, or refused."""
        marks = self._marks[number]
        return bool(marks & _REFUSED) or marks & (_ACKNOWLEDGED | _TOLD) == _ACKNOWLEDGED | _TOLD

    @property
    def settled(self) -> int:
        """Answered for good: acknowledged or refused."""
        return self.acknowledged + self.refused

    @property
    def told(self) -> int:
        return self.ended.total()

    def all_acknowledged(self) -> Iterator[int]:
        return (n for n, marks in enumerate(self._marks) if marks & _ACKNOWLEDGED)

    def untold(self) -> Iterator[int]:
        """Acknowledged, and not told yet."""
        return (
            n
            for n, marks in enumerate(self._marks)
            if marks & (_ACKNOWLEDGED | _TOLD) == _ACKNOWLEDGED
        )

"""A queue in which customers take turns, so that a long backlog of one does not delay the others."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(deque[T]):
    """The items of one customer in a FairQueue."""

    __slots__ = ()


class FairQueue(Generic[T]):
    """Items of one customer keep their order, and customers take turns: round robin.

    The caller keeps the lines, one for each customer, and bounds the number of items.
    """

    __slots__ = ("_turns", "length")

    def __init__(self) -> None:
        self.length = 0
        """The number of items in all lines. `len` of a class of ours would take three times as long."""
        self._turns: deque[Line[T]] = deque()
        """The lines that have items; the next one comes first."""

    def append(self, line: Line[T], item: T) -> None:
        """Add an item at the end of its line."""
        if not line:
            self._turns.append(line)
        line.append(item)
        self.length += 1

    def appendleft(self, line: Line[T], item: T) -> None:
        """Put an item back that was taken: it is the next one of its line, and of all if its line was empty."""
        if not line:
            self._turns.appendleft(line)
        line.appendleft(item)
        self.length += 1

    @property
    def first(self) -> T:
        """The next item. Raises IndexError if there is none."""
        return self._turns[0][0]

    def popleft(self) -> T:
        """Remove and return the next item. Raises IndexError if there is none."""
        turns = self._turns
        line = turns[0]
        item = line.popleft()
        self.length -= 1
        if not line:
            turns.popleft()
        elif len(turns) > 1:
            turns.rotate(-1)
        return item

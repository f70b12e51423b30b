"""What the origin has been asked for, bounded however many paths and keys there are."""

from collections import OrderedDict

LIMIT = 10_000


class Counts:
    """Counts by name; beyond `limit` names the one that was counted longest ago is forgotten."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._counts: OrderedDict[str, int] = OrderedDict()

    def add(self, name: str) -> int:
        """How often `name` has been counted, this time included."""
        count = self._counts.pop(name, 0) + 1
        self._counts[name] = count
        if len(self._counts) > self._limit:
            self._counts.popitem(last=False)
        return count

    def all(self) -> dict[str, int]:
        return dict(self._counts)

"""A map of bounded size, for what a process remembers of customers, hosts or names that others choose."""

from collections import OrderedDict
from collections.abc import ItemsView, ValuesView
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class LruMap(Generic[K, V]):
    """At most `limit` values by key. Beyond that, the least recently used one is forgotten."""

    __slots__ = ("_limit", "_values")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """Return the value and note that it is used; None if there is none."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def items(self) -> ItemsView[K, V]:
        """Return keys and values, the least recently used first, without noting a use."""
        return self._values.items()

    def values(self) -> ValuesView[V]:
        """Return the values as `items` does."""
        return self._values.values()

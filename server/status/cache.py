"""In-memory LRU cache of COMPLETED requests, which never change.

FAILED requests are not cached, because they can be reopened. Entries expire: a row may reach its expiry time
(RETENTION_DAYS), and an operator may delete a customer's data.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    value: V
    expires_at: float
    weight: int


class CompletedCache(Generic[V]):
    """Holds entries of a weight of `max_weight` together for up to `max_age` seconds each. 0 disables the cache.

    `clock` returns seconds since the epoch, the unit of a row's expiry time.
    """

    def __init__(
        self, max_weight: int, max_age: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_weight = max_weight
        self._max_age = max_age
        self._clock = clock
        self._entries: OrderedDict[str, _Entry[V]] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, request_id: str) -> V | None:
        entry = self._entries.get(request_id)
        if entry is None:
            return None
        if entry.expires_at <= self._clock():
            self._remove(request_id)
            return None
        self._entries.move_to_end(request_id)
        return entry.value

    def put(
        self, request_id: str, value: V, row_expires_at: int | None, *, weight: int = 1
    ) -> None:
        """`row_expires_at` is in seconds since the epoch; None if the row does not expire."""
        expires_at = self._clock() + self._max_age
        if row_expires_at is not None:
            expires_at = min(expires_at, row_expires_at)
        if request_id in self._entries:
            self._remove(request_id)
        self._entries[request_id] = _Entry(value, expires_at, weight)
        self._weight += weight
        while self._weight > self._max_weight:
            self._remove(next(iter(self._entries)))

    def _remove(self, request_id: str) -> None:
        self._weight -= self._entries.pop(request_id).weight

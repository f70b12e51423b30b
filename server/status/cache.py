"""Requests that are COMPLETED, kept in the memory of a process: nothing changes them any more.

FAILED ones are not kept, for a redrive reopens them. What is kept is kept for a while only: a row may expire
(RETENTION_DAYS), and an operator may delete what a customer wants to be forgotten.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[V]):
    value: V
    until: float


class CompletedCache(Generic[V]):
    """The `max_entries` that were asked for last, each for at most `max_age` seconds. 0 entries keep nothing.

    `clock` tells seconds since the epoch, which is how a row's expiry is told.
    """

    def __init__(
        self, max_entries: int, max_age: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._max_entries = max_entries
        self._max_age = max_age
        self._clock = clock
        self._kept: OrderedDict[str, _Kept[V]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, request_id: str) -> V | None:
        kept = self._kept.get(request_id)
        if kept is None:
            return None
        if kept.until <= self._clock():
            del self._kept[request_id]
            return None
        self._kept.move_to_end(request_id)
        return kept.value

    def keep(self, request_id: str, value: V, expires_at: int | None) -> None:
        """`expires_at` is the row's expiry, None where it has none."""
        until = self._clock() + self._max_age
        if expires_at is not None:
            until = min(until, expires_at)
        self._kept[request_id] = _Kept(value, until)
        self._kept.move_to_end(request_id)
        if len(self._kept) > self._max_entries:
            self._kept.popitem(last=False)

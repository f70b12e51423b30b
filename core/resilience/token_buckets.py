"""Token buckets: each key may use permits at a rate, and a burst of them after a pause."""

import time
from collections.abc import Callable

from core.lru_map import LruMap

MAX_KEYS = 10_000

_TOLERANCE = 1e-3
"""Part of a permit: times are floats, and the last permit of a burst must not fail by a rounding error."""


class TokenBuckets:
    """A bucket for each key, which fills at `rate` permits per second up to `burst`.

    A bucket is a virtual schedule (GCRA: ITU-T I.371, annex A), so it is one number: the time at which it will be full.
    There are at most `max_keys` buckets; beyond, the least recently used one is forgotten, and is full at its next use.
    `clock` returns seconds.
    """

    def __init__(
        self,
        rate: float,
        burst: int,
        *,
        max_keys: int = MAX_KEYS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._interval = 1 / rate
        self._span = (burst - 1 + _TOLERANCE) / rate
        """Seconds to the time at which a bucket with one permit is full."""
        self._clock = clock
        self._full_at = LruMap[str, float](max_keys)

    def take(self, key: str) -> bool:
        """Take one permit. Returns False if the bucket has none."""
        now = self._clock()
        full_at = self._full_at.get(key)
        full_at = now if full_at is None else max(full_at, now)
        granted = full_at - now <= self._span
        self._full_at.put(key, full_at + self._interval if granted else full_at)
        return granted

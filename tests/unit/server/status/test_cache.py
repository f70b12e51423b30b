"""The cache of COMPLETED requests: capacity and expiry."""

import pytest

from server.status.cache import CompletedCache


class Clock:
    """Seconds since the epoch, set by the test."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_recently_used_entries_are_kept(clock: Clock) -> None:
    """The least recently used entry is evicted."""
    cache: CompletedCache[int] = CompletedCache(2, 60, clock)
    cache.put("a", 1, None)
    cache.put("b", 2, None)
    assert cache.get("a") == 1
    cache.put("c", 3, None)
    assert [cache.get(each) for each in "abc"] == [1, None, 3]
    assert len(cache) == 2


@pytest.mark.parametrize(
    ("expires_at", "last_second"), [(None, 1_059.0), (1_030, 1_029.0), (9_999, 1_059.0)]
)
def test_entries_expire_by_age_or_row_expiry(
    clock: Clock, expires_at: int | None, last_second: float
) -> None:
    """The earlier of the two; then the request is read again."""
    cache: CompletedCache[int] = CompletedCache(2, 60, clock)
    cache.put("a", 1, expires_at)
    clock.now = last_second
    assert cache.get("a") == 1
    clock.now = last_second + 1
    assert cache.get("a") is None
    assert len(cache) == 0


def test_a_cache_without_capacity_is_empty(clock: Clock) -> None:
    """0 entries disable the cache."""
    cache: CompletedCache[int] = CompletedCache(0, 60, clock)
    cache.put("a", 1, None)
    assert cache.get("a") is None


def test_a_heavy_entry_takes_the_room_of_several(clock: Clock) -> None:
    """The oldest entries go until it fits, and their room is free again when it goes."""
    cache: CompletedCache[str] = CompletedCache(4, 60, clock)
    for each in "abcd":
        cache.put(each, each, None)
    cache.put("e", "e", None, weight=3)
    assert [cache.get(each) for each in "abcde"] == [None, None, None, "d", "e"]
    cache.put("e", "e", None)
    for each in "fg":
        cache.put(each, each, None)
    assert [cache.get(each) for each in "defg"] == ["d", "e", "f", "g"]
    cache.put("h", "h", None, weight=5)
    assert len(cache) == 0

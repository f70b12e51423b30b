"""What a map of bounded size forgets."""

from core.lru_map import LruMap


def test_the_least_recently_used_value_is_forgotten() -> None:
    """A read is a use, and so is a new value of a known key."""
    values = LruMap[str, int](2)
    values.put("a", 1)
    values.put("b", 2)
    assert values.get("a") == 1
    values.put("c", 3)
    assert (values.get("b"), values.get("a"), values.get("c")) == (None, 1, 3)
    values.put("a", 4)
    values.put("d", 5)
    assert list(values.items()) == [("a", 4), ("d", 5)]
    assert list(values.values()) == [4, 5]
    assert len(values) == 2


def test_a_look_at_a_missing_key_forgets_nothing() -> None:
    """Only values count."""
    values = LruMap[str, int](1)
    values.put("a", 1)
    assert values.get("b") is None
    assert values.get("a") == 1

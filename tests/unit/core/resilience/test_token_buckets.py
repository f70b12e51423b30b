"""Token buckets: the burst, the rate, and the bound of their number."""

from dataclasses import dataclass

import pytest

from core.resilience.token_buckets import TokenBuckets


@dataclass(slots=True)
class Clock:
    now: float = 1e6

    def __call__(self) -> float:
        return self.now


def taken(buckets: TokenBuckets, key: str, attempts: int) -> int:
    return sum(buckets.take(key) for _ in range(attempts))


@pytest.mark.parametrize(
    ("rate", "burst", "pause", "expected"),
    [
        (20, 100, 0, 0),
        (20, 100, 0.049, 0),
        (20, 100, 0.051, 1),
        (20, 100, 1, 20),
        (20, 100, 4.99, 99),
        (20, 100, 5, 100),
        (20, 100, 3_600, 100),
        (0.5, 1, 1.9, 0),
        (0.5, 1, 2, 1),
        (3, 7, 1, 3),
    ],
)
def test_a_bucket_gives_its_burst_and_then_its_rate(
    rate: float, burst: int, pause: float, expected: int
) -> None:
    """After the burst, a pause refills `rate` permits per second, up to the burst."""
    clock = Clock()
    buckets = TokenBuckets(rate, burst, clock=clock)
    assert taken(buckets, "acme", 2 * burst) == burst
    clock.now += pause
    assert taken(buckets, "acme", 2 * burst) == expected


def test_refused_attempts_cost_nothing() -> None:
    """A caller that never pauses gets the rate, not less."""
    clock = Clock()
    buckets = TokenBuckets(10, 5, clock=clock)
    granted = 0
    for _ in range(1_000):
        clock.now += 0.01
        granted += buckets.take("acme")
    assert granted == pytest.approx(100 + 5, abs=1)


def test_each_key_has_a_bucket() -> None:
    """A busy customer takes no permit of another."""
    buckets = TokenBuckets(1, 3, clock=Clock())
    assert taken(buckets, "busy", 10) == 3
    assert taken(buckets, "other", 10) == 3


def test_the_least_recently_used_bucket_is_forgotten() -> None:
    """An attempt counts as a use, also a refused one."""
    buckets = TokenBuckets(1, 1, max_keys=2, clock=Clock())
    assert [buckets.take(key) for key in ("a", "b", "a", "c")] == [True, True, False, True]
    assert not buckets.take("a")
    assert buckets.take("b")

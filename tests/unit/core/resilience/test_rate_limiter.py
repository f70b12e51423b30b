"""How many units per second a rate limiter admits."""

import asyncio

import pytest

from core.resilience.rate_limiter import RateLimiter
from harness.virtual_time import run_virtually


async def seconds(
    rate: float, *, works: int = 1, call_s: float = 0.0, pause_s: float = 0.0
) -> float:
    """Return the time for ten calls of 100 units, each of `call_s` seconds, by `works` concurrent tasks."""
    loop = asyncio.get_running_loop()
    limiter = RateLimiter(rate)
    await asyncio.sleep(pause_s)
    began = loop.time()

    async def work() -> None:
        for _ in range(10 // works):
            await asyncio.sleep(call_s)
            await limiter.acquire(100)

    await asyncio.gather(*(work() for _ in range(works)))
    return loop.time() - began


@pytest.mark.parametrize(
    ("call_s", "works", "expected"),
    [(0.0, 1, 10.0), (0.4, 1, 10.0), (2.0, 1, 20.0), (1.0, 5, 10.0), (0.0, 5, 10.0)],
)
def test_the_time_of_the_calls_counts(call_s: float, works: int, expected: float) -> None:
    """1,000 units at 100 per second take 10 s, or longer if sequential calls are slower."""
    spent = run_virtually(seconds(100, works=works, call_s=call_s))
    assert spent == pytest.approx(expected, abs=0.1)


def test_a_long_pause_allows_no_burst() -> None:
    """After an idle hour, one second of work is caught up."""
    assert run_virtually(seconds(100, pause_s=3_600)) == pytest.approx(9.0, abs=0.1)

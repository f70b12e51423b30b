"""A bound on how much is done a second."""

import asyncio

import pytest

from consumer.jobs.rate_limiter import Pace
from harness.virtual_time import run_virtually


async def seconds(
    rate: float, *, works: int = 1, call_s: float = 0.0, pause_s: float = 0.0
) -> float:
    """How long it takes to do 100 pieces ten times, each in a call of `call_s`, by `works` beside one another."""
    loop = asyncio.get_running_loop()
    pace = Pace(rate)
    await asyncio.sleep(pause_s)
    began = loop.time()

    async def work() -> None:
        for _ in range(10 // works):
            await asyncio.sleep(call_s)
            await pace.spend(100)

    await asyncio.gather(*(work() for _ in range(works)))
    return loop.time() - began


@pytest.mark.parametrize(
    ("call_s", "works", "expected"),
    [(0.0, 1, 10.0), (0.4, 1, 10.0), (2.0, 1, 20.0), (1.0, 5, 10.0), (0.0, 5, 10.0)],
)
def test_what_the_calls_take_counts(call_s: float, works: int, expected: float) -> None:
    """1,000 pieces at 100 a second are 10 s, unless the calls are slower; beside one another they are not."""
    spent = run_virtually(seconds(100, works=works, call_s=call_s))
    assert spent == pytest.approx(expected, abs=0.1)


def test_a_long_pause_is_no_leave_for_a_burst() -> None:
    """After an hour of nothing, a second's worth is made up for and no more."""
    assert run_virtually(seconds(100, pause_s=3_600)) == pytest.approx(9.0, abs=0.1)

"""Restarts of a process that dies."""

import asyncio
from dataclasses import dataclass, field

import pytest

from core.runtime.child_process import STABLE_S, run_with_restarts
from harness.virtual_time import run_virtually


@dataclass
class Runs:
    """Each run lasts for the next of `seconds`; the last one sets `stopping`."""

    seconds: list[float]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    count: int = 0
    delays: list[float] = field(default_factory=list)

    async def run_once(self) -> int:
        self.count += 1
        if self.count == len(self.seconds):
            self.stopping.set()
        await asyncio.sleep(self.seconds[self.count - 1])
        return self.count

    def on_exit(self, _result: int, _failures: int, delay_s: float) -> bool:
        self.delays.append(delay_s)
        return True


async def delays_of(seconds: list[float]) -> list[float]:
    """Return the delays before the restarts of runs with these durations."""
    runs = Runs(seconds)
    last = await run_with_restarts(runs.run_once, stopping=runs.stopping, on_exit=runs.on_exit)
    assert last == len(seconds)
    return runs.delays


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([1] * 9, [0.5, 1, 2, 4, 8, 16, 30, 30]),
        ([1, 1, 1, STABLE_S, 1, 1], [0.5, 1, 2, 0.5, 1]),
        ([1, 1, 1, STABLE_S - 0.1, 1], [0.5, 1, 2, 4]),
    ],
)
def test_the_delay_grows_with_consecutive_failures(
    seconds: list[float], expected: list[float]
) -> None:
    """Up to a bound; a process that ran long enough starts over."""
    assert run_virtually(delays_of(seconds)) == expected


def test_the_caller_may_give_up() -> None:
    """Then the result of the last run is returned."""

    async def give_up() -> int | None:
        runs = Runs([1] * 5)
        return await run_with_restarts(
            runs.run_once,
            stopping=runs.stopping,
            on_exit=lambda _result, failures, _delay: failures < 3,
        )

    assert run_virtually(give_up()) == 3


def test_a_stop_ends_the_delay() -> None:
    """No further run starts."""

    async def stop() -> int | None:
        runs = Runs([1] * 5)

        def on_exit(*_: object) -> bool:
            runs.stopping.set()
            return True

        return await run_with_restarts(runs.run_once, stopping=runs.stopping, on_exit=on_exit)

    assert run_virtually(stop()) is None

"""When a dependency that is down is called."""

import asyncio

import pytest
from structlog.testing import capture_logs

from core.resilience.backoff import Backoff
from core.resilience.circuit_breaker import OPEN_TIME, BreakerState, CircuitBreaker
from harness.virtual_time import run_virtually

OPEN_TIMES = Backoff(0.25, 30, floor=1)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_one_failure_spares_all_other_callers() -> None:
    """However many calls were under way: until the open time is over none passes; then a single one does."""
    clock = Clock()
    breaker = CircuitBreaker(OPEN_TIMES, clock=clock)
    assert [breaker.allow() for _ in range(5)] == [True] * 5
    for _ in range(5):
        breaker.record_failure()
    assert [breaker.allow() for _ in range(100)] == [False] * 100
    assert breaker.trial_in_s == 0.25
    clock.now += 0.25
    assert [breaker.allow() for _ in range(100)] == [True] + [False] * 99
    assert breaker.state is BreakerState.HALF_OPEN


def test_the_open_time_grows_with_each_failed_trial() -> None:
    """A long outage costs two trials a minute; the next outage begins with a short open time again."""
    clock = Clock()
    breaker = CircuitBreaker(OPEN_TIMES, clock=clock)
    open_times = []
    for _ in range(9):
        breaker.record_failure()
        open_times.append(breaker.trial_in_s)
        clock.now += breaker.trial_in_s
        assert breaker.allow()
    assert open_times == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
    breaker.record_success()
    assert breaker.closed
    assert breaker.trial_in_s == 0
    breaker.record_failure()
    assert breaker.trial_in_s == 0.25


def test_a_trial_that_never_reports_is_followed_by_another() -> None:
    """Its caller may have been cancelled."""
    clock = Clock()
    breaker = CircuitBreaker(OPEN_TIMES, clock=clock)
    breaker.record_failure()
    clock.now += 0.25
    assert breaker.allow()
    clock.now += 0.25
    assert breaker.allow()


def test_a_breaker_is_never_open_for_no_time() -> None:
    """With the open time that is the default."""
    clock = Clock()
    breaker = CircuitBreaker(OPEN_TIME, clock=clock)
    for ceiling in (0.25, 0.5, 1.0):
        breaker.record_failure()
        assert ceiling / 2 <= breaker.trial_in_s <= ceiling
        clock.now += ceiling
        assert breaker.allow()


def test_a_loop_waits_for_its_trial() -> None:
    """A process that only calls in a loop of its own needs no probe."""

    async def wait() -> float:
        breaker = CircuitBreaker(OPEN_TIMES)
        breaker.record_failure()
        await breaker.wait_for_trial()
        assert breaker.state is BreakerState.HALF_OPEN
        return asyncio.get_running_loop().time()

    assert run_virtually(wait()) == 0.25


class Dependency:
    def __init__(self, *, works: bool) -> None:
        self.works = works
        self.fault: Exception | None = None
        self.probed_at: list[float] = []

    async def probe(self) -> bool:
        self.probed_at.append(asyncio.get_running_loop().time())
        if self.fault is not None:
            raise self.fault
        return self.works


def test_a_probe_closes_the_breaker_without_any_caller() -> None:
    """It is tried after each open time; no caller is the trial."""

    async def outage() -> None:
        dependency = Dependency(works=False)
        breaker = CircuitBreaker(OPEN_TIMES, probe=dependency.probe)
        breaker.record_failure()
        await asyncio.sleep(2)
        assert not breaker.allow()
        assert dependency.probed_at == [0.25, 0.75, 1.75]
        dependency.works = True
        await asyncio.sleep(2)
        assert breaker.allow()
        assert dependency.probed_at == [0.25, 0.75, 1.75, 3.75]
        await breaker.close()

    run_virtually(outage())


@pytest.mark.parametrize("works", [True, False])
def test_a_closed_breaker_may_be_probed(*, works: bool) -> None:
    """If a failed call proves nothing, the probe's answer alone opens the breaker."""

    async def doubt() -> None:
        dependency = Dependency(works=works)
        breaker = CircuitBreaker(OPEN_TIMES, probe=dependency.probe)
        for _ in range(3):
            breaker.start_probe(delay_s=1)
        await asyncio.sleep(0.5)
        assert breaker.closed
        await asyncio.sleep(0.6)
        assert breaker.closed is works
        assert dependency.probed_at == [1]
        await breaker.close()

    run_virtually(doubt())


def test_a_fault_of_the_probe_does_not_leave_the_breaker_open() -> None:
    """It is logged, and counts as a failed trial."""

    async def fault() -> None:
        dependency = Dependency(works=True)
        dependency.fault = ValueError("ours")
        breaker = CircuitBreaker(OPEN_TIMES, probe=dependency.probe)
        with capture_logs() as logs:
            breaker.record_failure()
            await asyncio.sleep(0.5)
        assert [line["event"] for line in logs] == ["circuit breaker probe failed"]
        dependency.fault = None
        await asyncio.sleep(0.5)
        assert breaker.closed
        await breaker.close()

    run_virtually(fault())


def test_a_closed_down_breaker_probes_no_more() -> None:
    """Its owner closes the connections that the probe uses."""

    async def close() -> None:
        dependency = Dependency(works=False)
        breaker = CircuitBreaker(OPEN_TIMES, probe=dependency.probe)
        await breaker.close()
        breaker.record_failure()
        await breaker.close()
        await asyncio.sleep(60)
        assert dependency.probed_at == []

    run_virtually(close())

"""Retries of calls to a dependency that is unavailable."""

import asyncio

import pytest
from structlog.testing import capture_logs

from core.errors import DependencyUnavailable
from core.resilience.retry import MAX_ATTEMPTS, retry_unavailable
from harness.virtual_time import run_virtually


class Flaky:
    def __init__(self, failures: int, error: type[Exception] = DependencyUnavailable) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def call(self, number: int) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error("down")
        return number


async def timed(flaky: Flaky) -> tuple[int, float]:
    """The answer, and the seconds that it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    answer = await retry_unavailable("read", flaky.call, 7)
    return answer, loop.time() - began


def test_the_last_attempt_counts() -> None:
    """A command outlasts half a minute of outage, and at most a minute."""
    flaky = Flaky(MAX_ATTEMPTS - 1)
    answer, seconds = run_virtually(timed(flaky))
    assert answer == 7
    assert 30 < seconds < 63


def test_the_last_error_is_raised_after_all_attempts() -> None:
    """As it is, and not inside an error of the retry library."""
    flaky = Flaky(MAX_ATTEMPTS)
    with pytest.raises(DependencyUnavailable, match="down"):
        run_virtually(timed(flaky))
    assert flaky.calls == MAX_ATTEMPTS


def test_another_error_is_raised_at_once() -> None:
    """Only an outage passes."""
    flaky = Flaky(1, ValueError)
    with pytest.raises(ValueError, match="down"):
        run_virtually(timed(flaky))
    assert flaky.calls == 1


def test_each_retry_is_logged_with_its_operation() -> None:
    """So an operator sees why a command waits."""
    with capture_logs() as logs:
        run_virtually(timed(Flaky(2)))
    expected = {"event": "retrying", "log_level": "warning", "operation": "read", "error": "down"}
    assert logs == [expected] * 2


def test_a_function_that_returns_an_awaitable_is_awaited() -> None:
    """A lambda is not a coroutine function."""
    flaky = Flaky(0)
    assert run_virtually(retry_unavailable("read", lambda: flaky.call(5))) == 5

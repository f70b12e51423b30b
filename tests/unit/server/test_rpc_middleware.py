"""A unary call is answered before its caller's deadline, even if AWS is frozen."""

import asyncio

import pytest
import uvloop

from core.errors import DependencyUnavailable
from harness.virtual_time import run_virtually
from server import rpc_middleware
from server.errors import Reason, to_rpc_error
from server.rpc_middleware import UNARY_LIMIT_S, run_bounded


async def _wait(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "answer"


def test_a_call_within_the_limit_returns_its_answer() -> None:
    assert run_virtually(run_bounded(_wait(UNARY_LIMIT_S - 1))) == "answer"


def test_a_call_that_takes_too_long_is_unavailable() -> None:
    """The caller gets UNAVAILABLE with RetryInfo, and its task is not left cancelled."""

    async def call() -> None:
        with pytest.raises(DependencyUnavailable) as raised:
            await run_bounded(_wait(10 * UNARY_LIMIT_S))
        error = to_rpc_error(raised.value)
        assert error.reason is Reason.DEPENDENCY_UNAVAILABLE
        assert error.retry_after is not None
        assert asyncio.get_running_loop().time() == UNARY_LIMIT_S
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_virtually(call())


def test_a_call_that_its_client_ends_is_cancelled() -> None:
    async def call() -> None:
        running = asyncio.create_task(run_bounded(_wait(10 * UNARY_LIMIT_S)))
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    run_virtually(call())


def test_every_call_that_takes_too_long_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the loop of production: it rounds times, so a limit that compares them takes its own timer for a client."""
    monkeypatch.setattr(rpc_middleware, "UNARY_LIMIT_S", 0.01)

    async def call(number: int) -> BaseException:
        await asyncio.sleep(number / 1000)
        try:
            await run_bounded(_wait(10 * UNARY_LIMIT_S))
        except (DependencyUnavailable, asyncio.CancelledError) as error:
            return error
        raise AssertionError

    async def calls() -> set[type[BaseException]]:
        errors = await asyncio.gather(*(call(number) for number in range(500)))
        return {type(error) for error in errors}

    assert uvloop.run(calls()) == {DependencyUnavailable}

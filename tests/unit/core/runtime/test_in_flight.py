"""Operations in progress, as a graceful shutdown counts them."""

import asyncio

import pytest

from core.errors import Overloaded
from core.runtime.in_flight import CallLimiter, InFlight


async def test_wait_idle_returns_when_the_last_operation_has_finished() -> None:
    """Not before, and at once if there is none."""
    in_flight = InFlight()
    await in_flight.wait_idle()
    in_flight.start()
    in_flight.start()
    idle = asyncio.create_task(in_flight.wait_idle())
    in_flight.finish()
    await asyncio.sleep(0)
    assert (in_flight.count, idle.done()) == (1, False)
    in_flight.finish()
    await idle
    assert in_flight.count == 0


def test_calls_are_bounded_in_total_and_for_each_customer() -> None:
    """A slot is free again when its call ends, with or without an error."""
    limiter = CallLimiter("list", 3, 2)
    with limiter.slot("a"), limiter.slot("a"):
        with pytest.raises(Overloaded, match="of this customer"):
            limiter.slot("a").__enter__()
        with limiter.slot("b"), pytest.raises(Overloaded):
            limiter.slot("c").__enter__()
        with pytest.raises(ZeroDivisionError), limiter.slot("b"):
            raise ZeroDivisionError
        with limiter.slot("b"):
            pass
    with limiter.slot("a"), limiter.slot("b"), limiter.slot("c"):
        pass

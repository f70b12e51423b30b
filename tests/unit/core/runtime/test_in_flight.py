"""Operations in progress, as a graceful shutdown counts them."""

import asyncio

from core.runtime.in_flight import InFlight


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

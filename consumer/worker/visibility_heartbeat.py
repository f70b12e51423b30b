"""Keeps what is held invisible to others, also what has not begun yet."""

import asyncio

import structlog

from consumer.metrics import HEARTBEAT_FAILURES
from consumer.worker.receive_queue import ReceiveQueue

_log = structlog.get_logger()

_BEATS_PER_TIMEOUT = 3
"""Two beats may be lost before a message becomes visible."""


async def beat(inbox: ReceiveQueue, visibility_timeout: int) -> None:
    """Run until cancelled. `visibility_timeout` is the queue's, in seconds.

    The schedule is fixed, and no call outlasts its beat: one that hangs delays neither the next nor the others.
    """
    period = visibility_timeout / _BEATS_PER_TIMEOUT
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        due += period
        await asyncio.sleep(due - loop.time())
        if errors := await inbox.extend(visibility_timeout, within=period):
            HEARTBEAT_FAILURES.inc(len(errors))
            _log.warning("visibility not extended", count=len(errors), error=str(errors[0]))

"""Keeps what is held invisible to others, also what has not begun yet."""

import asyncio

import structlog

from consumer.inbox import Inbox
from consumer.metrics import HEARTBEAT_FAILURES
from core.errors import DependencyUnavailable
from core.queue_sender import MAX_BATCH

_log = structlog.get_logger()

_BEATS_PER_TIMEOUT = 3
"""Two beats may be lost before a message becomes visible."""


async def beat(inbox: Inbox, visibility_timeout: int) -> None:
    """Run until cancelled. `visibility_timeout` is the queue's, in seconds."""
    while True:
        await asyncio.sleep(visibility_timeout / _BEATS_PER_TIMEOUT)
        held = inbox.held
        batches = (held[at : at + MAX_BATCH] for at in range(0, len(held), MAX_BATCH))
        results = await asyncio.gather(
            *(inbox.extend(batch, visibility_timeout) for batch in batches), return_exceptions=True
        )
        for failure in results:
            if isinstance(failure, DependencyUnavailable):
                HEARTBEAT_FAILURES.inc()
                _log.warning("heartbeat missed", error=str(failure))
            elif isinstance(failure, BaseException):
                raise failure

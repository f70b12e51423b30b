"""Keeps what is held invisible to others, also what has not begun yet."""

import asyncio
from collections.abc import Sequence

import structlog

from consumer.metrics import HEARTBEAT_FAILURES
from consumer.worker.receive_queue import ReceiveQueue
from core.aws.sqs import MAX_BATCH
from core.errors import DependencyUnavailable, RequestRejected

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
        receipts = inbox.receipts
        batches = (receipts[at : at + MAX_BATCH] for at in range(0, len(receipts), MAX_BATCH))
        await asyncio.gather(
            *(_extend(inbox, batch, visibility_timeout, period) for batch in batches)
        )


async def _extend(inbox: ReceiveQueue, batch: Sequence[str], seconds: int, period: float) -> None:
    try:
        async with asyncio.timeout(period):
            await inbox.extend(batch, seconds)
    except (DependencyUnavailable, RequestRejected, TimeoutError) as error:
        HEARTBEAT_FAILURES.inc()
        _log.warning("heartbeat missed", error=f"{type(error).__name__}: {error}")

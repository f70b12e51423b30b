"""Reads a whole SQS queue once: the failed-requests queue, or the DLQ."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from core.aws.batch import MAX_BATCH
from core.aws.sqs import IncomingMessage, SqsQueue
from core.runtime.clock import now_ms

_VISIBILITY_TIMEOUT_S = 900
"""Messages that a longer pass holds become visible again; it receives them again, and so hides them again."""
_MAX_EMPTY_RECEIVES = 5
"""Stop a pass after this many consecutive empty receives, even if SQS reports visible messages. SQS delivers nothing
more once 120,000 messages are in flight."""
_MAX_REPEATED_MESSAGES = 100
"""Stop a pass after 2 x held + this many consecutive messages that it has already seen, or that arrived after its
start."""
_RELEASE_TIMEOUT_S = 5.0
"""Time in which an interrupted pass releases the messages that it holds."""

_log = structlog.get_logger()


@dataclass(slots=True)
class StopRule:
    """Decides when a pass has seen the whole queue."""

    _repeated_left: int = _MAX_REPEATED_MESSAGES
    _empty_left: int = _MAX_EMPTY_RECEIVES

    def on_new(self, held: int) -> None:
        """Count a receive with a new message; `held` messages are held now."""
        self._repeated_left = 2 * held + _MAX_REPEATED_MESSAGES
        self._empty_left = _MAX_EMPTY_RECEIVES

    def on_repeated(self, messages: int) -> bool:
        """Count a receive without a new message. Return whether the pass is over."""
        # Messages that arrive during the pass do not extend it. Otherwise it would last as long as requests fail.
        self._repeated_left -= messages
        self._empty_left = _MAX_EMPTY_RECEIVES
        return self._repeated_left < 0

    def on_empty(self) -> bool:
        """Count an empty receive. Return whether the pass is over."""
        self._empty_left -= 1
        return self._empty_left <= 0


@asynccontextmanager
async def open_queue_reader(queue: SqsQueue) -> "AsyncIterator[QueueReader]":
    """Yield a reader of the queue; on exit, make all messages that were not deleted visible again."""
    reader = QueueReader(queue)
    within: float | None = _RELEASE_TIMEOUT_S
    try:
        yield reader
        within = None
    finally:
        await reader.release(within=within)


@dataclass(slots=True)
class QueueReader:
    """Holds received messages, invisible to others, until they are deleted or released."""

    queue: SqsQueue
    not_received: int = 0
    """Approximate number of messages that SQS did not deliver to the last pass, because too many are in flight."""
    _held: dict[str, str] = field(default_factory=dict)
    """Receipt handles by message id."""

    async def batches(self) -> AsyncIterator[list[IncomingMessage]]:
        """Yield every message once, up to 10 at a time. Raises DependencyUnavailable.

        Messages that arrive during the pass are left to the next one: a request that is retried may fail again at once.
        """
        started, stop = now_ms(), StopRule()
        while True:
            received = await self.queue.receive(
                MAX_BATCH, wait=1, visibility_timeout=_VISIBILITY_TIMEOUT_S
            )
            new = [
                each for each in received if each.sent_at <= started and each.id not in self._held
            ]
            self._held.update((each.id, each.receipt) for each in received)
            if new:
                stop.on_new(len(self._held))
                yield new
            elif received:
                if stop.on_repeated(len(received)):
                    return
            elif stop.on_empty():
                self.not_received = await self.visible_count()
                return
            elif not await self.visible_count():
                return

    async def visible_count(self) -> int:
        """Return the approximate number of messages that nobody holds."""
        attributes = await self.queue.attributes("ApproximateNumberOfMessages")
        return attributes["ApproximateNumberOfMessages"]

    async def delete(self, messages: Sequence[IncomingMessage]) -> None:
        """Delete up to 10 messages. Those that SQS does not delete stay held.

        Raises DependencyUnavailable or RequestRejected.
        """
        deletes = [self.queue.delete_nowait(message.receipt) for message in messages]
        results = await asyncio.gather(*deletes, return_exceptions=True)
        for message, result in zip(messages, results, strict=True):
            if result is None:
                self._held.pop(message.id, None)
        for result in results:
            if result is not None:
                raise result

    async def release(self, *, within: float | None) -> None:
        """Make all held messages visible again, so that the next pass receives them. Errors of SQS are logged.

        A message that is not released `within` seconds becomes visible after its visibility timeout.
        """
        receipts = list(self._held.values())
        self._held.clear()
        if errors := await self.queue.change_visibility(receipts, 0, within=within):
            _log.warning("messages not released", count=len(errors), error=str(errors[0]))

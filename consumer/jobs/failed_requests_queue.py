"""Reading a dead-letter queue through, once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from core.aws.batch import MAX_BATCH
from core.aws.sqs import SqsQueue
from core.runtime.clock import now_ms

_INVISIBLE_S = 900
"""Seconds for which a receive hides a letter. A longer pass receives what it holds again, and holds it again."""
_EMPTY_RECEIVES = 5
"""So many in a row end a pass, though the queue claims to have more: SQS hands out no more than it lets be held."""
_VAIN_LETTERS = 100
"""So many letters in a row that are none of this pass's end it, beyond all that it holds, twice over."""
_HASTE_S = 5.0
"""How long a pass that is cut short takes to let go of what it holds, in seconds."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Letter:
    """`id` is that of the message."""

    id: str
    body: str
    receipt: str


@dataclass(slots=True)
class Round:
    """When a pass has seen all: nothing comes any more, or nothing but what is known, for long enough."""

    _vain_left: int = _VAIN_LETTERS
    _empty_left: int = _EMPTY_RECEIVES

    def found(self, held: int) -> None:
        """Something new came, and `held` letters are held now."""
        self._vain_left, self._empty_left = 2 * held + _VAIN_LETTERS, _EMPTY_RECEIVES

    def known(self, letters: int) -> bool:
        """So many came that are none of this pass's; whether that is enough."""
        # What comes late makes no room for more of it, or a pass would last as long as something fails.
        self._vain_left, self._empty_left = self._vain_left - letters, _EMPTY_RECEIVES
        return self._vain_left < 0

    def empty(self) -> bool:
        """Nothing came; whether that is enough."""
        self._empty_left -= 1
        return self._empty_left <= 0


@asynccontextmanager
async def dead_queue(sqs: SqsQueue) -> "AsyncIterator[FailedRequestsQueue]":
    """A queue to read; in the end, what was received and not deleted is visible to others again."""
    queue = FailedRequestsQueue(sqs)
    within: float | None = _HASTE_S
    try:
        yield queue
        within = None
    finally:
        await queue.release(within=within)


@dataclass(slots=True)
class FailedRequestsQueue:
    """Holds what it received, invisible to others, until that is deleted or released."""

    queue: SqsQueue
    not_handed_out: int = 0
    """About how many letters the last pass did not get to see. SQS lets 120,000 be held, and hands out no more."""
    _held: dict[str, str] = field(default_factory=dict)
    """Message ids, and the receipts by which they are deleted or released."""

    async def batches(self) -> AsyncIterator[list[Letter]]:
        """Every letter that is there now, once, up to 10 at a time. Raises DependencyUnavailable.

        Letters that arrive meanwhile are left for the next pass: what is redriven may fail again at once.
        """
        began, turn = now_ms(), Round()
        while True:
            received = await self.queue.receive(MAX_BATCH, wait=1, visibility_timeout=_INVISIBLE_S)
            fresh = [
                each for each in received if each.sent_at <= began and each.id not in self._held
            ]
            self._held.update((each.id, each.receipt) for each in received)
            if fresh:
                turn.found(len(self._held))
                yield [Letter(each.id, each.body, each.receipt) for each in fresh]
            elif received:
                if turn.known(len(received)):
                    return
            elif turn.empty():
                self.not_handed_out = await self.waiting()
                return
            elif not await self.waiting():
                return

    async def waiting(self) -> int:
        """About how many letters are there and not held by anyone."""
        attributes = await self.queue.attributes("ApproximateNumberOfMessages")
        return int(attributes["ApproximateNumberOfMessages"])

    async def delete(self, letters: Sequence[Letter]) -> None:
        """Up to 10 letters. What SQS would not delete is held on. Raises DependencyUnavailable or RequestRejected."""
        deletes = [self.queue.delete_nowait(letter.receipt) for letter in letters]
        results = await asyncio.gather(*deletes, return_exceptions=True)
        for letter, result in zip(letters, results, strict=True):
            if result is None:
                self._held.pop(letter.id, None)
        for result in results:
            if result is not None:
                raise result

    async def release(self, *, within: float | None) -> None:
        """Make visible again whatever is held, so that the next pass finds it. Nothing raises because of SQS.

        What is not released, for want of an answer or of time (`within`, in seconds), becomes visible by itself.
        """
        receipts = list(self._held.values())
        self._held.clear()
        if errors := await self.queue.change_visibility(receipts, 0, within=within):
            _log.warning("messages not released", count=len(errors), error=str(errors[0]))

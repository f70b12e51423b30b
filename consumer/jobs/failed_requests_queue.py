"""Reading a dead-letter queue through, once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from core.aws.client import call
from core.aws.sqs import MAX_BATCH
from core.runtime.clock import now_ms

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient


_INVISIBLE_S = 900
"""Seconds for which a receive hides a letter. A longer pass receives what it holds again, and holds it again."""
_EMPTY_RECEIVES = 5
"""So many in a row end a pass, though the queue claims to have more: SQS hands out no more than it lets be held."""
_VAIN_LETTERS = 100
"""So many letters in a row that are none of this pass's end it, beyond all that it holds, twice over."""
_RELEASES_AT_ONCE = 8
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
async def dead_queue(sqs: "SQSClient", url: str) -> "AsyncIterator[FailedRequestsQueue]":
    """A queue to read; in the end, what was received and not deleted is visible to others again."""
    queue = FailedRequestsQueue(sqs, url)
    within: float | None = _HASTE_S
    try:
        yield queue
        within = None
    finally:
        await queue.release(within=within)


@dataclass(slots=True)
class FailedRequestsQueue:
    """Holds what it received, invisible to others, until that is deleted or released."""

    sqs: "SQSClient"
    url: str
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
            received = await self._receive()
            fresh = [
                raw
                for raw in received
                if int(raw["Attributes"]["SentTimestamp"]) <= began
                and raw["MessageId"] not in self._held
            ]
            self._held.update((raw["MessageId"], raw["ReceiptHandle"]) for raw in received)
            if fresh:
                turn.found(len(self._held))
                yield [Letter(raw["MessageId"], raw["Body"], raw["ReceiptHandle"]) for raw in fresh]
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
        response = await call(
            "sqs:GetQueueAttributes",
            self.sqs.get_queue_attributes(
                QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"]
            ),
        )
        return int(response["Attributes"]["ApproximateNumberOfMessages"])

    async def delete(self, letters: Sequence[Letter]) -> None:
        """Up to 10 letters. What SQS would not delete is held on. Raises DependencyUnavailable."""
        if not letters:
            return
        entries: list[Any] = [
            {"Id": str(position), "ReceiptHandle": letter.receipt}
            for position, letter in enumerate(letters)
        ]
        response = await call(
            "sqs:DeleteMessageBatch",
            self.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries),
        )
        for entry in response.get("Successful", []):
            self._held.pop(letters[int(entry["Id"])].id, None)

    async def release(self, *, within: float | None) -> None:
        """Make visible again whatever is held, so that the next pass finds it. Nothing raises because of SQS.

        What is not released, for want of an answer or of time (`within`, in seconds), becomes visible by itself.
        """
        receipts = list(self._held.values())
        self._held.clear()
        batches = iter([receipts[at : at + MAX_BATCH] for at in range(0, len(receipts), MAX_BATCH)])

        async def release_some() -> None:
            for batch in batches:
                await self._release(batch)

        lanes = (release_some() for _ in range(_RELEASES_AT_ONCE))
        try:
            async with asyncio.timeout(within):
                faults = [
                    each for each in await asyncio.gather(*lanes, return_exceptions=True) if each
                ]
        except TimeoutError as error:
            faults = [error]
        if faults:
            _log.warning("letters stay invisible for a while", error=str(faults[0]))

    async def _receive(self) -> list[Any]:
        response = await call(
            "sqs:ReceiveMessage",
            self.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=MAX_BATCH,
                WaitTimeSeconds=1,
                VisibilityTimeout=_INVISIBLE_S,
                MessageSystemAttributeNames=["SentTimestamp"],
            ),
        )
        return list(response.get("Messages", []))

    async def _release(self, receipts: Sequence[str]) -> None:
        entries: list[Any] = [
            {"Id": str(position), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
            for position, receipt in enumerate(receipts)
        ]
        await call(
            "sqs:ChangeMessageVisibilityBatch",
            self.sqs.change_message_visibility_batch(QueueUrl=self.url, Entries=entries),
        )

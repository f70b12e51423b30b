"""The queue as the consumer sees it: receive, hold, delete, give back."""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import structlog

from consumer.metrics import (
    GIVEN_BACK,
    IN_FLIGHT,
    OLDEST_MESSAGE_AGE_SECONDS,
    OLDEST_PENDING_AGE_SECONDS,
    process_seconds,
    received,
)
from consumer.worker.pending_age import PendingAge
from consumer.worker.received_message import ReceivedMessage, fold
from core.aws.client import CALL_SECONDS, call
from core.aws.http import JsonService
from core.aws.sqs import MAX_BATCH, MAX_FLUSHES, QueueSender, batch_outcome, batch_outcomes
from core.batcher import NO_LINGER, Batcher, Batching, BatchRejected, Done, Outcome
from core.errors import RequestRejected
from core.model.message import MAX_DELAY_S, MalformedMessage, decode_message
from core.runtime.clock import now_ms

_log = structlog.get_logger()


class ReceiveQueue:
    """Every message received is held, and so kept invisible by the heartbeat, until `finish` or `give_back`."""

    def __init__(
        self,
        sqs: JsonService,
        queue_url: str,
        sender: QueueSender,
        batching: Batching = NO_LINGER,
    ) -> None:
        self._sqs = sqs
        self._queue_url = queue_url
        self._sender = sender
        self._held: dict[ReceivedMessage, float] = {}
        """Since when, in seconds of the monotonic clock."""
        self._sent_anew: set[ReceivedMessage] = set()
        self._deletes: Batcher[str, None] = Batcher(
            "sqs deletes",
            self._delete_batch,
            max_batch=MAX_BATCH,
            batching=batching,
            max_flushes=MAX_FLUSHES,
        )
        self._pending = PendingAge()
        OLDEST_MESSAGE_AGE_SECONDS.set_function(self._oldest_age)
        OLDEST_PENDING_AGE_SECONDS.set_function(self._oldest_pending_age)

    @property
    def held(self) -> tuple[ReceivedMessage, ...]:
        """All that was received and neither finished nor given back."""
        return tuple(self._held)

    @property
    def receipts(self) -> tuple[str, ...]:
        """Receipt handles of all that is held."""
        return tuple(receipt for delivery in self._held for receipt in delivery.receipts)

    async def visibility_timeout(self) -> int:
        """The queue's own, in seconds."""
        response = await call(
            "sqs:GetQueueAttributes",
            self._sqs.invoke(
                "GetQueueAttributes",
                {"QueueUrl": self._queue_url, "AttributeNames": ["VisibilityTimeout"]},
            ),
        )
        return int(response["Attributes"]["VisibilityTimeout"])

    async def receive(self, count: int, *, wait: int) -> list[ReceivedMessage]:
        """Up to `count` (at most 10) messages, folded. Raises DependencyUnavailable."""
        response = await call(
            "sqs:ReceiveMessage",
            self._sqs.invoke(
                "ReceiveMessage",
                {
                    "QueueUrl": self._queue_url,
                    "MaxNumberOfMessages": min(count, MAX_BATCH),
                    "WaitTimeSeconds": wait,
                    "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
                },
            ),
            # A poll that falls silent is known only after its wait; the next one is to have its own.
            seconds=2 * wait + CALL_SECONDS,
        )
        received = [_delivery(raw) for raw in response.get("Messages", [])]
        deliveries = fold(delivery for delivery in received if delivery is not None)
        now = time.monotonic()
        self._held.update((delivery, now) for delivery in deliveries)
        self._see(deliveries)
        IN_FLIGHT.set(len(self._held))
        return deliveries

    async def finish(self, delivery: ReceivedMessage) -> None:
        """Delete the message: all that it asked for is done."""
        await self._delete(delivery)
        self._release(delivery, "finished")

    async def give_back(
        self,
        delivery: ReceivedMessage,
        *,
        reason: str,
        delay: float = 0,
        attempts: int | None = None,
    ) -> None:
        """Send the message anew, then delete it: the receive count starts over and nothing stays in flight.

        `delay` is in seconds and at most 900 count. May be repeated when it fails: what was sent is not sent again.
        A suspect stays one.
        """
        if delivery not in self._sent_anew:
            message = delivery.message.again(attempts=attempts, suspect=delivery.suspect)
            await self._sender.send(message.encode(), delay=min(MAX_DELAY_S, round(delay)))
            self._sent_anew.add(delivery)
        await self._delete(delivery)
        self._release(delivery, "given_back")
        GIVEN_BACK.labels(reason).inc()

    def clear(self, delivery: ReceivedMessage) -> ReceivedMessage:
        """Lift the suspicion from a delivery that is held."""
        cleared = delivery.cleared()
        self._held[cleared] = self._held.pop(delivery)
        return cleared

    async def extend(self, receipts: Sequence[str], seconds: int) -> None:
        """Keep up to 10 messages invisible for `seconds` from now."""
        entries: list[Any] = [
            {"Id": str(position), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for position, receipt in enumerate(receipts)
        ]
        await call(
            "sqs:ChangeMessageVisibilityBatch",
            self._sqs.invoke(
                "ChangeMessageVisibilityBatch", {"QueueUrl": self._queue_url, "Entries": entries}
            ),
        )

    async def drain(self) -> None:
        await self._deletes.drain()

    def let_go(self, delivery: ReceivedMessage) -> None:
        """Hold it no longer: it comes back once its visibility lapses, as a suspect."""
        self._release(delivery, "let_go")

    def _release(self, delivery: ReceivedMessage, outcome: str) -> None:
        since = self._held.pop(delivery, None)
        if since is not None:
            self._see((delivery,))
            process_seconds(outcome).observe(time.monotonic() - since)
        self._sent_anew.discard(delivery)
        IN_FLIGHT.set(len(self._held))

    def _oldest_age(self) -> float:
        # Called from the metrics server's thread; the copy is one step of the interpreter.
        sent = min((delivery.sent_at for delivery in tuple(self._held)), default=None)
        return 0.0 if sent is None else max(0.0, (now_ms() - sent) / 1000)

    def _see(self, deliveries: Iterable[ReceivedMessage]) -> None:
        now = now_ms()
        for delivery in deliveries:
            self._pending = self._pending.saw(delivery.message.pending_since, now)

    def _oldest_pending_age(self) -> float:
        # As above.
        held = [delivery.message.pending_since for delivery in tuple(self._held)]
        return self._pending.seconds(now_ms(), held)

    async def _delete(self, delivery: ReceivedMessage) -> None:
        for receipt in delivery.receipts:
            await self._deletes.submit(receipt)

    async def _delete_batch(self, batch: Sequence[str]) -> Sequence[Outcome[None]]:
        entries: list[Any] = [
            {"Id": str(position), "ReceiptHandle": receipt}
            for position, receipt in enumerate(batch)
        ]
        try:
            response = await call(
                "sqs:DeleteMessageBatch",
                self._sqs.invoke(
                    "DeleteMessageBatch", {"QueueUrl": self._queue_url, "Entries": entries}
                ),
            )
        except RequestRejected as rejection:
            raise BatchRejected from rejection
        return batch_outcomes(response, len(batch), _deleted)


def _deleted(failure: Any) -> Outcome[None]:
    """A receipt that has expired belongs to a later delivery, whose worker finds the request ended."""
    if failure is not None and failure.get("SenderFault"):
        return Done(None)
    return batch_outcome(failure)


def _delivery(raw: Any) -> ReceivedMessage | None:
    try:
        message = decode_message(raw["Body"])
    except MalformedMessage as error:
        # Not ours: left alone, it reaches the queue of undelivered messages, on which the alarm stands.
        _log.error("malformed message left to the redrive policy", error=str(error))
        received("malformed").inc()
        return None
    attributes = raw["Attributes"]
    return ReceivedMessage(
        message=message,
        receipts=(raw["ReceiptHandle"],),
        receive_count=int(attributes["ApproximateReceiveCount"]),
        sent_at=int(attributes["SentTimestamp"]),
    )

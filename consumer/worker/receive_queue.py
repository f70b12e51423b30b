"""The queue as the consumer sees it: receive, hold, delete, give back."""

import time
from collections.abc import Iterable

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
from core.aws.batch import EntryError
from core.aws.sqs import IncomingMessage, SqsQueue
from core.model.message import MAX_DELAY_S, MalformedMessage, decode_message
from core.runtime.clock import now_ms

_log = structlog.get_logger()


class ReceiveQueue:
    """Every message received is held, and so kept invisible by the heartbeat, until `finish` or `give_back`."""

    def __init__(self, queue: SqsQueue) -> None:
        self._queue = queue
        self._held: dict[ReceivedMessage, float] = {}
        """Since when, in seconds of the monotonic clock."""
        self._sent_anew: set[ReceivedMessage] = set()
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
        attributes = await self._queue.attributes("VisibilityTimeout")
        return int(attributes["VisibilityTimeout"])

    async def receive(self, count: int, *, wait: int) -> list[ReceivedMessage]:
        """Up to `count` (at most 10) messages, folded. Raises DependencyUnavailable."""
        received = [_delivery(each) for each in await self._queue.receive(count, wait=wait)]
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
            await self._queue.send(message.encode(), delay=min(MAX_DELAY_S, round(delay)))
            self._sent_anew.add(delivery)
        await self._delete(delivery)
        self._release(delivery, "given_back")
        GIVEN_BACK.labels(reason).inc()

    def clear(self, delivery: ReceivedMessage) -> ReceivedMessage:
        """Lift the suspicion from a delivery that is held."""
        cleared = delivery.cleared()
        self._held[cleared] = self._held.pop(delivery)
        return cleared

    async def extend(self, seconds: int, *, within: float) -> list[EntryError]:
        """Keep all that is held invisible for `seconds` from now. Return what failed, as SqsQueue does."""
        return await self._queue.change_visibility(self.receipts, seconds, within=within)

    async def drain(self) -> None:
        await self._queue.drain()

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
            await self._queue.delete(receipt)


def _delivery(incoming: IncomingMessage) -> ReceivedMessage | None:
    try:
        message = decode_message(incoming.body)
    except MalformedMessage as error:
        # Not ours: left alone, it reaches the queue of undelivered messages, on which the alarm stands.
        _log.error("malformed message left to the redrive policy", error=str(error))
        received("malformed").inc()
        return None
    return ReceivedMessage(
        message=message,
        receipts=(incoming.receipt,),
        receive_count=incoming.receive_count,
        sent_at=incoming.sent_at,
    )

"""The queues of requests, one for each lane, as the worker uses them: receive, hold, acknowledge, requeue."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import structlog

from consumer.metrics import (
    HEARTBEAT_FAILURES,
    IN_FLIGHT,
    OLDEST_MESSAGE_AGE_SECONDS,
    OLDEST_PENDING_AGE_SECONDS,
    PROCESS_SECONDS,
    RECEIVED,
    REQUEUED,
)
from consumer.worker.received_message import ReceivedMessage, dedupe
from core.aws.sqs import IncomingMessage, SqsQueue
from core.model.message import MAX_DELAY_S, Lane, MalformedMessage, decode_message
from core.runtime.clock import now_ms
from core.runtime.metrics import counter, histogram

_log = structlog.get_logger()

_HEARTBEATS_PER_TIMEOUT = 3
"""Two heartbeats may fail before a message becomes visible to other consumers."""


class ReceiveQueue:
    """Holds every received message until `ack`, `requeue` or `abandon`. `bulk` is None if there is one lane.

    Messages that are held stay invisible to other consumers while `extend_visibility_forever` runs.
    """

    def __init__(self, queue: SqsQueue, bulk: SqsQueue | None = None) -> None:
        self._queues = {Lane.INTERACTIVE: queue}
        if bulk is not None:
            self._queues[Lane.BULK] = bulk
        self._held: dict[ReceivedMessage, float] = {}
        """Messages held, and since when, in seconds of the monotonic clock."""
        self._requeued: set[ReceivedMessage] = set()
        """Messages whose copy was sent and whose receipt is not deleted yet."""
        self._deleting: set[str] = set()
        """Receipts whose delete is in progress."""
        self._pending_ages = dict.fromkeys(Lane, PendingAge())

    @property
    def lanes(self) -> tuple[Lane, ...]:
        return tuple(self._queues)

    @property
    def held(self) -> tuple[ReceivedMessage, ...]:
        return tuple(self._held)

    def export_metrics(self) -> None:
        """Make the process's age gauges read this queue. Call once per process."""
        for lane in self._queues:
            age = partial(self._oldest_message_age, lane)
            OLDEST_MESSAGE_AGE_SECONDS.labels(lane).set_function(age)
            pending_age = partial(self._oldest_pending_age, lane)
            OLDEST_PENDING_AGE_SECONDS.labels(lane).set_function(pending_age)

    async def visibility_timeout(self) -> int:
        """Return the shortest visibility timeout of the queues in seconds. Raises DependencyUnavailable."""
        name = "VisibilityTimeout"
        return min([(await queue.attributes(name))[name] for queue in self._queues.values()])

    async def receive(
        self, count: int, *, wait: int, lane: Lane = Lane.INTERACTIVE
    ) -> list[ReceivedMessage]:
        """Receive up to `count` messages, at most 10, without duplicates. Raises DependencyUnavailable."""
        received = await self._queues[lane].receive(count, wait=wait)
        decoded = [_decode(incoming, lane) for incoming in received]
        messages = dedupe(message for message in decoded if message is not None)
        now = time.monotonic()
        self._held.update((message, now) for message in messages)
        self._record(messages)
        IN_FLIGHT.set(len(self._held))
        return messages

    async def ack(self, message: ReceivedMessage) -> None:
        """Delete a message whose work is done. Raises Overloaded or DependencyUnavailable."""
        await self._delete(message)
        self._forget(message, "finished")

    async def requeue(
        self,
        message: ReceivedMessage,
        *,
        reason: str,
        delay: float = 0,
        attempts: int | None = None,
        expensive: bool = False,
        lane: Lane | None = None,
        deferrals: int | None = None,
        before_end: bool = False,
    ) -> None:
        """Send a new message, then delete this one: the new one has its own receive count and is not in flight.

        `delay` is in seconds, cut to SQS's 900. The new message stays in the lane, unless `lane` names another. A
        suspected message stays suspected. before_end: whether this run has not tried to end the request, so that a copy
        (ImageMessage.copy) stays one. Safe to repeat if it fails: the message is not sent twice. Raises Overloaded or
        DependencyUnavailable.
        """
        if message not in self._requeued:
            requeued = message.message.dated(now_ms()).requeued(
                attempts=attempts,
                suspect=message.suspected,
                expensive=expensive,
                copy=before_end and message.needs_no_end,
                deferrals=deferrals,
            )
            await self._queues[lane or message.lane].send(
                requeued.encode(), delay=min(MAX_DELAY_S, round(delay)), group=requeued.customer_id
            )
            self._requeued.add(message)
        await self._delete(message)
        self._forget(message, "given_back")
        counter(REQUEUED, reason, message.lane).inc()

    def abandon(self, message: ReceivedMessage) -> None:
        """Stop holding a message: SQS delivers it again after its visibility timeout, and it is suspected then."""
        self._forget(message, "let_go")

    async def extend_visibility_forever(self, visibility_timeout: int) -> None:
        """Send heartbeats for all messages held, until cancelled. `visibility_timeout` is the queue's, in seconds.

        The schedule is fixed and no call outlasts its period, so a call that hangs delays no later heartbeat.
        """
        period = visibility_timeout / _HEARTBEATS_PER_TIMEOUT
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += period
            await asyncio.sleep(due - loop.time())
            calls = [
                queue.change_visibility(self._receipts(lane), visibility_timeout, within=period)
                for lane, queue in self._queues.items()
            ]
            errors = [error for answer in await asyncio.gather(*calls) for error in answer]
            # SQS also refuses messages that were deleted meanwhile, which a busy worker always has.
            needed = {
                "",
                *(r for lane in self._queues for r in self._receipts(lane)),
            } - self._deleting
            if errors := [error for error in errors if error.receipt in needed]:
                HEARTBEAT_FAILURES.inc(len(errors))
                _log.warning("visibility not extended", count=len(errors), error=str(errors[0]))

    async def drain(self) -> None:
        await asyncio.gather(*(queue.drain() for queue in self._queues.values()))

    def _receipts(self, lane: Lane) -> list[str]:
        return [
            receipt
            for message in self._held
            if message.lane is lane
            for receipt in message.receipts
        ]

    async def _delete(self, message: ReceivedMessage) -> None:
        self._deleting.update(message.receipts)
        try:
            for receipt in message.receipts:
                await self._queues[message.lane].delete(receipt)
        finally:
            self._deleting.difference_update(message.receipts)

    def _forget(self, message: ReceivedMessage, outcome: str) -> None:
        since = self._held.pop(message, None)
        if since is not None:
            self._record((message,))
            histogram(PROCESS_SECONDS, outcome).observe(time.monotonic() - since)
        self._requeued.discard(message)
        IN_FLIGHT.set(len(self._held))

    def _record(self, messages: Iterable[ReceivedMessage]) -> None:
        now = now_ms()
        for message in messages:
            age = self._pending_ages[message.lane]
            self._pending_ages[message.lane] = age.record(message.message.pending_since, now)

    # The metrics server calls these from its thread. tuple() copies in one step of the interpreter.

    def _oldest_message_age(self, lane: Lane) -> float:
        held = (message.sent_at for message in tuple(self._held) if message.lane is lane)
        sent = min(held, default=None)
        return 0.0 if sent is None else max(0.0, (now_ms() - sent) / 1000)

    def _oldest_pending_age(self, lane: Lane) -> float:
        held = [each.message.pending_since for each in tuple(self._held) if each.lane is lane]
        return self._pending_ages[lane].seconds(now_ms(), held)


def _decode(incoming: IncomingMessage, lane: Lane) -> ReceivedMessage | None:
    try:
        message = decode_message(incoming.body)
    except MalformedMessage as error:
        # Another sender's. It stays in the queue until the redrive policy moves it to the DLQ, which has an alarm.
        _log.error("malformed message left to the redrive policy", error=str(error))
        counter(RECEIVED, "malformed", lane).inc()
        return None
    return ReceivedMessage(
        message=message,
        receipts=(incoming.receipt,),
        receive_count=incoming.receive_count,
        sent_at=incoming.sent_at,
        lane=lane,
    )


WINDOW_MS = 60_000


@dataclass(frozen=True, slots=True)
class PendingAge:
    """The earliest `pending_since` recorded in the current minute (`window`), and in the minute `before`. Pure.

    A message's own age starts over with each requeue; this one does not. Times are milliseconds since the epoch, 0 for
    unknown. Frozen, so that another thread may read it.
    """

    window: int = 0
    oldest: int = 0
    before: int = 0

    def record(self, pending_since: int, now: int) -> "PendingAge":
        """Return the state after a request was held that is PENDING since then."""
        current = self._at(now)
        return PendingAge(current.window, _earlier(current.oldest, pending_since), current.before)

    def seconds(self, now: int, held: Iterable[int] = ()) -> float:
        """Return the age of the oldest that is `held`, or was recorded in the last one to two minutes; else 0."""
        current = self._at(now)
        since = _earlier(current.oldest, current.before)
        for pending_since in held:
            since = _earlier(since, pending_since)
        return max(0.0, (now - since) / 1000) if since else 0.0

    def _at(self, now: int) -> "PendingAge":
        window = now // WINDOW_MS
        if window <= self.window:
            return self
        return PendingAge(window, 0, self.oldest if window == self.window + 1 else 0)


def _earlier(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other

"""SQS: visibility timeouts, receive counts, delays, stale receipts, duplicates, and redrive to a DLQ.

Semantics from the Amazon SQS developer guide, "Standard queues", "Visibility timeout" and "Dead-letter queues".
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RETENTION_S = 1_209_600
_TICK_S = 0.001
"""Added to a wait, because the event loop fires a timer up to its clock's resolution too early."""


Observe = Callable[[str, str], None]
"""Called with a message's id and body."""


def _ignore(_message_id: str, _body: str) -> None:
    pass


@dataclass
class StoredMessage:
    """`receipts` are those of every receive; only the last one deletes. Times are in seconds."""

    id: str
    body: str
    sent_at: float
    visible_at: float
    receipts: list[str] = field(default_factory=list)


class SimulatedQueue:
    """A standard queue. After `max_receives` receives, the next one moves a message to `dlq`."""

    def __init__(
        self,
        name: str,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        visibility_timeout: int,
        max_receives: int | None = None,
        dlq: "SimulatedQueue | None" = None,
        on_send: Observe = _ignore,
        on_receive: Callable[[str], None] | None = None,
        on_delete: Observe = _ignore,
    ) -> None:
        self.name = name
        self._clock = clock
        self._rng = rng
        self._visibility_timeout = visibility_timeout
        self._max_receives = max_receives
        self._dlq = dlq
        self._on_send = on_send
        self._on_receive = on_receive
        self._on_delete = on_delete
        self.messages: dict[str, StoredMessage] = {}
        self._ids = 0
        self._changed = asyncio.Event()

    def send(self, body: str, *, delay: float = 0) -> None:
        now = self._clock()
        message = StoredMessage(f"{self.name}-{self._next_id()}", body, now, now + delay)
        self.messages[message.id] = message
        self._on_send(message.id, body)
        self._changed.set()

    def receive(
        self, count: int, *, visibility_timeout: int | None, duplicate: bool = False
    ) -> list[dict[str, Any]]:
        """Return up to `count` visible messages in any order. With `duplicate`, they stay visible."""
        now = self._clock()
        visible = [each for each in self.messages.values() if each.visible_at <= now]
        self._rng.shuffle(visible)
        timeout = self._visibility_timeout if visibility_timeout is None else visibility_timeout
        received: list[dict[str, Any]] = []
        for message in visible:
            if len(received) == min(count, 10):
                break
            if self._redrive(message):
                continue
            if self._on_receive is not None:
                self._on_receive(message.id)
            message.receipts.append(f"{message.id}/{len(message.receipts) + 1}")
            if not duplicate:
                message.visible_at = now + timeout
            received.append(_received(message))
        return received

    async def wait_for_change(self, seconds: float) -> None:
        """Wait until a message may have become visible, for some seconds at most."""
        now = self._clock()
        next_at = min(
            (each.visible_at for each in self.messages.values() if each.visible_at > now),
            default=now + seconds,
        )
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, next_at - now) + _TICK_S):
                await self._changed.wait()

    def delete(self, receipt: str) -> None:
        """Delete a message. A receipt of an earlier receive succeeds without effect, as in SQS."""
        message = self._of(receipt)
        if message is not None and message.receipts[-1] == receipt:
            del self.messages[message.id]
            self._on_delete(message.id, message.body)

    def change_visibility(self, receipt: str, seconds: int) -> str | None:
        """Return the code of the error, if SQS refuses."""
        message = self._of(receipt)
        if message is None:
            return "InvalidParameterValue"
        if message.visible_at <= self._clock():
            return "MessageNotInflight"
        message.visible_at = self._clock() + seconds
        self._changed.set()
        return None

    def attributes(self) -> Mapping[str, str]:
        now = self._clock()
        visible = [each for each in self.messages.values() if each.visible_at <= now]
        hidden = [each for each in self.messages.values() if each.visible_at > now]
        in_flight = [each for each in hidden if each.receipts]
        return {
            "ApproximateNumberOfMessages": str(len(visible)),
            "ApproximateNumberOfMessagesNotVisible": str(len(in_flight)),
            "ApproximateNumberOfMessagesDelayed": str(len(hidden) - len(in_flight)),
            "VisibilityTimeout": str(self._visibility_timeout),
            "MessageRetentionPeriod": str(RETENTION_S),
        }

    def oldest_age_s(self) -> float | None:
        sent = [message.sent_at for message in self.messages.values()]
        return self._clock() - min(sent) if sent else None

    def _redrive(self, message: StoredMessage) -> bool:
        if self._dlq is None or self._max_receives is None:
            return False
        if len(message.receipts) < self._max_receives:
            return False
        del self.messages[message.id]
        # The DLQ keeps the message's id, its time of sending and its count of receives.
        message.visible_at = self._clock()
        self._dlq.messages[message.id] = message
        self._dlq._changed.set()
        return True

    def _of(self, receipt: str) -> StoredMessage | None:
        return self.messages.get(receipt.partition("/")[0])

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids


def _received(message: StoredMessage) -> dict[str, Any]:
    return {
        "MessageId": message.id,
        "ReceiptHandle": message.receipts[-1],
        "Body": message.body,
        "Attributes": {
            "ApproximateReceiveCount": str(len(message.receipts)),
            "SentTimestamp": str(round(message.sent_at * 1000)),
        },
    }

"""What was received: one request's message with every receipt that it came under."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.model.message import ImageMessage


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """`receipts` are SQS receipt handles; `sent_at` is in milliseconds since the epoch."""

    message: ImageMessage
    receipts: tuple[str, ...]
    receive_count: int
    sent_at: int

    @property
    def suspect(self) -> bool:
        """Whether an earlier run may have killed its process.

        Giving back sends the message anew, so a second receive means that nobody lived to do so.
        """
        return self.message.suspect or self.receive_count > 1

    @property
    def first(self) -> bool:
        """Whether nothing can have been done for this message yet."""
        return not (self.message.resent or self.suspect)

    def cleared(self) -> "ReceivedMessage":
        """The same delivery, once its run alone has begun: if this process lives, it is no suspect any more."""
        return replace(
            self, message=replace(self.message, resent=True, suspect=False), receive_count=1
        )


def fold(deliveries: Iterable[ReceivedMessage]) -> list[ReceivedMessage]:
    """Join deliveries of one message: SQS may hand the same one out twice, even in one batch."""
    folded: dict[tuple[str, int], ReceivedMessage] = {}
    for delivery in deliveries:
        key = (delivery.message.request_id, delivery.message.revision)
        known = folded.get(key)
        folded[key] = delivery if known is None else _join(known, delivery)
    return list(folded.values())


def _join(one: ReceivedMessage, other: ReceivedMessage) -> ReceivedMessage:
    return replace(
        one,
        message=replace(
            one.message,
            attempts=max(one.message.attempts, other.message.attempts),
            resent=one.message.resent or other.message.resent,
            suspect=one.message.suspect or other.message.suspect,
        ),
        receipts=one.receipts + other.receipts,
        receive_count=max(one.receive_count, other.receive_count),
        sent_at=min(one.sent_at, other.sent_at),
    )

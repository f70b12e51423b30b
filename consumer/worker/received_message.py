"""A message as it was received: one request's message with every receipt that came for it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.model.message import ImageMessage, Lane


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """`receipts` are SQS receipt handles; `sent_at` is in milliseconds since the epoch."""

    message: ImageMessage
    receipts: tuple[str, ...]
    receive_count: int
    sent_at: int
    lane: Lane = Lane.INTERACTIVE

    @property
    def suspected(self) -> bool:
        """Whether this may be a poison message: an earlier run of it may have killed its process.

        A requeue sends a new message, so a second receive means that no process lived to requeue it, or abandoned it.
        The image of a suspected message is decoded alone (journal.py). The message's JSON calls this member `suspect`.
        """
        return self.message.suspect or self.receive_count > 1

    @property
    def needs_no_end(self) -> bool:
        """Whether it may be deleted without a notification if its request has ended: another message has ended it.

        A message that was received before may have ended the request itself, and not have notified.
        """
        return self.message.copy and self.receive_count == 1

    @property
    def first(self) -> bool:
        """Whether no earlier run can have done anything for this message."""
        return not (self.message.resent or self.suspected)


def dedupe(messages: Iterable[ReceivedMessage]) -> list[ReceivedMessage]:
    """Merge copies of one message: SQS delivers at least once, and may put two copies into one batch."""
    merged: dict[tuple[str, int, str], ReceivedMessage] = {}
    for received in messages:
        message = received.message
        # Two calls of CreateRenditions for one image ask for different presets.
        names = message.renditions if message.creates_renditions else ""
        key = (message.request_id, message.revision, names)
        known = merged.get(key)
        merged[key] = received if known is None else _merge(known, received)
    return list(merged.values())


def _merge(one: ReceivedMessage, other: ReceivedMessage) -> ReceivedMessage:
    return replace(
        one,
        message=replace(
            one.message,
            attempts=max(one.message.attempts, other.message.attempts),
            resent=one.message.resent or other.message.resent,
            suspect=one.message.suspect or other.message.suspect,
            from_dlq=one.message.from_dlq or other.message.from_dlq,
            expensive=one.message.expensive or other.message.expensive,
            copy=one.message.copy and other.message.copy,
            deferrals=max(one.message.deferrals, other.message.deferrals),
        ),
        receipts=one.receipts + other.receipts,
        receive_count=max(one.receive_count, other.receive_count),
        sent_at=min(one.sent_at, other.sent_at),
    )

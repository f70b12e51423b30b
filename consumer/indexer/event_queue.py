"""The indexer's queue. SNS sends it the notification of each COMPLETED request."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson
import structlog

from consumer.indexer.metrics import DOCUMENTS, MALFORMED, RECEIVED
from core.aws.sqs import IncomingMessage, SqsQueue
from core.errors import ImageServiceError

_log = structlog.get_logger()


class MalformedEvent(ImageServiceError):
    """The body is not a notification of this system."""


@dataclass(frozen=True, slots=True)
class Event:
    """A request whose image may have to be indexed. The document is read from the tables, not from the event.

    `receipts` are the receipt handles of all messages about this request; `first` is whether none of them was received
    before.
    """

    request_id: str
    receipts: tuple[str, ...]
    first: bool = True


def decode_event(body: str, receipt: str, *, first: bool = True) -> Event:
    """Decode a notification. Raises MalformedEvent."""
    try:
        request_id = str(uuid.UUID(orjson.loads(body)["requestId"]))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise MalformedEvent(f"{type(error).__name__}: {error}") from error
    return Event(request_id, (receipt,), first)


def dedupe(events: Iterable[Event]) -> list[Event]:
    """Merge events of one request: SQS delivers at least once, and reconcile may notify again."""
    merged: dict[str, Event] = {}
    for event in events:
        known = merged.get(event.request_id)
        merged[event.request_id] = event if known is None else _merge(known, event)
    return list(merged.values())


def _merge(one: Event, other: Event) -> Event:
    return replace(one, receipts=one.receipts + other.receipts, first=one.first and other.first)


class EventQueue:
    def __init__(self, queue: SqsQueue) -> None:
        self._queue = queue

    async def receive(self, count: int, *, wait: int) -> list[Event]:
        """Receive up to `count` events, at most 10, within `wait` seconds. Raises DependencyUnavailable."""
        messages = await self._queue.receive(count, wait=wait)
        RECEIVED.inc(len(messages))
        events = (_event(message) for message in messages)
        return [event for event in events if event is not None]

    async def ack(self, events: Iterable[Event]) -> None:
        """Delete the messages of finished events. If SQS refuses some, they come back and are indexed again."""
        deletes = [self._queue.delete_nowait(receipt) for receipt in _receipts(events)]
        results = await asyncio.gather(*deletes, return_exceptions=True)
        _warn("events not acknowledged", [result for result in results if result is not None])

    async def release(self, events: Iterable[Event]) -> None:
        """Make events visible again at once. If SQS refuses some, their visibility timeout does it."""
        _warn("events not released", await self._queue.change_visibility(_receipts(events), 0))


def _receipts(events: Iterable[Event]) -> list[str]:
    return [receipt for event in events for receipt in event.receipts]


def _warn(log_event: str, errors: Sequence[object]) -> None:
    if errors:
        _log.warning(log_event, count=len(errors), error=str(errors[0]))


def _event(message: IncomingMessage) -> Event | None:
    try:
        return decode_event(message.body, message.receipt, first=message.receive_count == 1)
    except MalformedEvent as error:
        # It stays in the queue until the redrive policy moves it to the search DLQ, which has an alarm.
        _log.error("malformed event left to the redrive policy", error=str(error))
        DOCUMENTS.labels(MALFORMED).inc()
        return None

"""The indexer's queue: receive, delete, release."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import orjson
import structlog

from consumer.indexer.metrics import DOCUMENTS, MALFORMED, RECEIVED
from core.aws.sqs import IncomingMessage, SqsQueue
from core.errors import ImageServiceError

# What the topic tells of a COMPLETED request. Only a hint: what is indexed is read from the tables.


class MalformedEvent(ImageServiceError):
    """The body is no notification of ours."""


@dataclass(frozen=True, slots=True)
class Event:
    """`receipts` are those of every message that told of this request; `first` is whether none was received before."""

    request_id: str
    receipts: tuple[str, ...]
    first: bool = True


def decode_event(body: str, receipt: str, *, first: bool = True) -> Event:
    """Raises MalformedEvent."""
    try:
        request_id = str(uuid.UUID(orjson.loads(body)["requestId"]))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise MalformedEvent(f"{type(error).__name__}: {error}") from error
    return Event(request_id, (receipt,), first)


def fold(events: Iterable[Event]) -> list[Event]:
    """One for each request: SQS may deliver a message twice, and reconcile tells of an end again."""
    folded: dict[str, Event] = {}
    for event in events:
        known = folded.get(event.request_id)
        folded[event.request_id] = event if known is None else _join(known, event)
    return list(folded.values())


def _join(one: Event, other: Event) -> Event:
    return replace(one, receipts=one.receipts + other.receipts, first=one.first and other.first)


_log = structlog.get_logger()


class EventQueue:
    def __init__(self, queue: SqsQueue) -> None:
        self._queue = queue

    async def receive(self, count: int, *, wait: int) -> list[Event]:
        """Up to `count` (at most 10) events, after at most `wait` seconds. Raises DependencyUnavailable."""
        messages = await self._queue.receive(count, wait=wait)
        RECEIVED.inc(len(messages))
        events = (_event(message) for message in messages)
        return [event for event in events if event is not None]

    async def delete(self, events: Iterable[Event]) -> None:
        """All that they asked for is done. What SQS does not take now comes back, and is written again."""
        deletes = [self._queue.delete_nowait(receipt) for receipt in _receipts(events)]
        results = await asyncio.gather(*deletes, return_exceptions=True)
        _warn("not deleted", [result for result in results if result is not None])

    async def release(self, events: Iterable[Event]) -> None:
        """Let them be received again at once; where SQS does not answer, when their visibility lapses."""
        _warn("not released", await self._queue.change_visibility(_receipts(events), 0))


def _receipts(events: Iterable[Event]) -> list[str]:
    return [receipt for event in events for receipt in event.receipts]


def _warn(event: str, errors: Sequence[object]) -> None:
    """The visibility timeout makes these messages receivable again."""
    if errors:
        _log.warning(event, count=len(errors), error=str(errors[0]))


def _event(message: IncomingMessage) -> Event | None:
    try:
        return decode_event(message.body, message.receipt, first=message.receive_count == 1)
    except MalformedEvent as error:
        # Left alone, it reaches the search dead letters, on which an alarm stands.
        _log.error("malformed event left to the redrive policy", error=str(error))
        DOCUMENTS.labels(MALFORMED).inc()
        return None

"""The indexer's queue: receive, delete, release."""

import asyncio
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog

from consumer.indexer.metrics import DOCUMENTS, MALFORMED, RECEIVED
from core.aws.client import CALL_SECONDS, call
from core.aws.http import JsonService
from core.aws.sqs import MAX_BATCH
from core.errors import DependencyUnavailable, ImageServiceError, RequestRejected

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

_RECEIVES = "ApproximateReceiveCount"


class EventQueue:
    def __init__(self, sqs: JsonService, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    async def receive(self, count: int, *, wait: int) -> list[Event]:
        """Up to `count` (at most 10) events, after at most `wait` seconds. Raises DependencyUnavailable."""
        answer = await self._call(
            "ReceiveMessage",
            {
                "MaxNumberOfMessages": min(count, MAX_BATCH),
                "WaitTimeSeconds": wait,
                "MessageSystemAttributeNames": [_RECEIVES],
            },
            seconds=2 * wait + CALL_SECONDS,
        )
        messages = answer.get("Messages", [])
        RECEIVED.inc(len(messages))
        events = (_event(message) for message in messages)
        return [event for event in events if event is not None]

    async def delete(self, events: Iterable[Event]) -> None:
        """All that they asked for is done. What SQS does not take now comes back, and is written again."""
        await self._each_batch("DeleteMessageBatch", events, {})

    async def release(self, events: Iterable[Event]) -> None:
        """Let them be received again at once; where SQS does not answer, when their visibility lapses."""
        await self._each_batch("ChangeMessageVisibilityBatch", events, {"VisibilityTimeout": 0})

    async def _each_batch(
        self, operation: str, events: Iterable[Event], more: dict[str, Any]
    ) -> None:
        await asyncio.gather(
            *(
                self._batch(operation, [{**entry, **more} for entry in entries])
                for entries in _batches(events)
            )
        )

    async def _batch(self, operation: str, entries: list[dict[str, Any]]) -> None:
        try:
            answer = await self._call(operation, {"Entries": entries})
        except (DependencyUnavailable, RequestRejected) as error:
            _log.warning("left to the visibility timeout", count=len(entries), error=str(error))
            return
        if failed := answer.get("Failed"):
            _log.warning("left to the visibility timeout", count=len(failed), error=str(failed[0]))

    async def _call(
        self, operation: str, members: dict[str, Any], *, seconds: float = CALL_SECONDS
    ) -> dict[str, Any]:
        return await call(
            f"sqs:{operation}",
            self._sqs.invoke(operation, {"QueueUrl": self._queue_url, **members}),
            seconds=seconds,
        )


def _batches(events: Iterable[Event]) -> Iterator[list[dict[str, Any]]]:
    receipts = [receipt for event in events for receipt in event.receipts]
    for at in range(0, len(receipts), MAX_BATCH):
        yield [
            {"Id": str(number), "ReceiptHandle": receipt}
            for number, receipt in enumerate(receipts[at : at + MAX_BATCH])
        ]


def _event(message: Any) -> Event | None:
    try:
        first = message["Attributes"][_RECEIVES] == "1"
        return decode_event(message["Body"], message["ReceiptHandle"], first=first)
    except MalformedEvent as error:
        # Left alone, it reaches the search dead letters, on which an alarm stands.
        _log.error("malformed event left to the redrive policy", error=str(error))
        DOCUMENTS.labels(MALFORMED).inc()
        return None

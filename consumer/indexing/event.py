"""What the topic tells of a COMPLETED request. Only a hint: what is indexed is read from the tables."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

import orjson

from core.errors import ImageServiceError


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

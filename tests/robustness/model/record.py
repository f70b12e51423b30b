"""The history indexed for the model: the events of each id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from robustness.history import (
    OK,
    Counted,
    Event,
    Expired,
    FailedRequestStored,
    Fetched,
    ImageRead,
    ImageStored,
    Notified,
    ObjectRead,
    ObjectSeen,
    Observed,
    OperatorRan,
    PhaseBegan,
    Planned,
    ProcessChanged,
    Refused,
    RowStored,
    RunStarted,
    StreamEnded,
    Submitted,
    Walked,
    WatchEnded,
)


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise. `evidence` are the events that show it, and no others."""

    rule: str
    id: str
    text: str
    evidence: tuple[Event, ...] = ()


@dataclass(slots=True)
class Record:
    """All events of one id, from its first submit, or from its last expiry, until its next one."""

    id: str
    contents: dict[int, Planned] = field(default_factory=dict)
    submits: list[Submitted] = field(default_factory=list)
    observed: list[Observed] = field(default_factory=list)
    notified: list[Notified] = field(default_factory=list)
    failed_requests: list[FailedRequestStored] = field(default_factory=list)
    images: list[ImageStored] = field(default_factory=list)
    image_reads: list[ImageRead] = field(default_factory=list)
    objects: list[ObjectRead] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    row: RowStored | None = None
    expired: Expired | None = None
    """The end of this record; a later submit of the id is another request."""

    @property
    def accepted(self) -> list[Submitted]:
        return [submit for submit in self.submits if submit.code == OK]

    @property
    def acknowledged_at(self) -> float | None:
        """When the first acknowledgement was known."""
        return min((submit.ended for submit in self.accepted), default=None)

    @property
    def states(self) -> list[Observed]:
        """The observations in the order in which they became known."""
        return sorted(self.observed, key=lambda each: each.ended)

    @property
    def last(self) -> Observed | None:
        """The final state; None if it was not read."""
        finals = [each for each in self.observed if each.final]
        if finals:
            return finals[-1]
        return self.states[-1] if self.expired and self.observed else None

    @property
    def content(self) -> Planned | None:
        """The content that was accepted, according to the row."""
        last = self.last
        if last is None:
            return None
        for planned in self.contents.values():
            accepted = any(submit.content == planned.content for submit in self.accepted)
            if (planned.customer, planned.url) == (last.customer, last.url) and (
                accepted or not self.accepted
            ):
                return planned
        return None

    @property
    def acknowledged_customers(self) -> set[str]:
        return {self.contents[submit.content].customer for submit in self.accepted}


@dataclass(slots=True)
class Recorded:
    """The whole history, indexed."""

    run: RunStarted | None = None
    records: dict[str, Record] = field(default_factory=dict)
    """The last record of each id."""
    earlier: list[Record] = field(default_factory=list)
    """Records that ended with an expiry."""
    walks: list[Walked] = field(default_factory=list)
    watches: list[WatchEnded] = field(default_factory=list)
    streams: list[StreamEnded] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    objects: list[ObjectSeen] = field(default_factory=list)
    changes: list[ProcessChanged] = field(default_factory=list)
    operators: list[OperatorRan] = field(default_factory=list)
    phases: list[PhaseBegan] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    fetches: dict[str, int] = field(default_factory=dict)

    def all_records(self) -> Iterator[Record]:
        yield from self.earlier
        yield from self.records.values()

    def record(self, request_id: str) -> Record:
        return self.records.setdefault(request_id, Record(request_id))


def index(events: Iterable[Event]) -> Recorded:
    """Index a history. The events must be in the order in which they were added."""
    recorded = Recorded()
    for event in events:
        if name := _LISTS_OF_AN_ID.get(type(event)):
            getattr(_record_of(recorded, event), name).append(event)
        elif name := _LISTS.get(type(event)):
            getattr(recorded, name).append(event)
        else:
            _add(recorded, event)
    return recorded


_LISTS_OF_AN_ID: dict[type[Event], str] = {
    Submitted: "submits",
    Observed: "observed",
    Notified: "notified",
    FailedRequestStored: "failed_requests",
    ImageStored: "images",
    ImageRead: "image_reads",
    ObjectRead: "objects",
}
_LISTS: dict[type[Event], str] = {
    StreamEnded: "streams",
    WatchEnded: "watches",
    Walked: "walks",
    ObjectSeen: "objects",
    ProcessChanged: "changes",
    OperatorRan: "operators",
    PhaseBegan: "phases",
}
"""The attribute of Record or Recorded to which an event is appended."""


def _add(recorded: Recorded, event: Event) -> None:
    match event:
        case RunStarted():
            recorded.run = event
        case Planned():
            recorded.record(event.id).contents[event.content] = event
        case RowStored():
            recorded.record(event.id).row = event
        case Refused():
            recorded.refused.append(event)
            for request_id in event.ids:
                recorded.record(request_id).refused.append(event)
        case Fetched():
            recorded.fetches[event.id] = event.count
        case Counted():
            recorded.counts[event.name] = event.counts
        case Expired():
            _expire(recorded, event)


def _record_of(recorded: Recorded, event: Event) -> Record:
    """Return the record of an event about one id.

    After an expiry it is the earlier one if the event has the content or the image of that: a caller may hear of an
    expired request late, and its image stays.
    """
    request_id: str = event.id  # type: ignore[union-attr]  # see _LISTS_OF_AN_ID
    for record in recorded.earlier:
        last = record.last
        if record.id != request_id or last is None:
            continue
        match event:
            case Observed(customer=customer, url=url):
                same = (customer, url) == (last.customer, last.url)
            case Notified(body={"customerId": customer, "url": url}):
                same = (customer, url) == (last.customer, last.url)
            case ImageStored(image_id=image_id) | ImageRead(image_id=image_id):
                same = image_id == last.image_id
            case _:
                same = False
        if same:
            return record
    return recorded.record(request_id)


def _expire(recorded: Recorded, event: Expired) -> None:
    """End a record. The next event of the id belongs to a new one, with the contents that are still to come."""
    ended = recorded.record(event.id)
    ended.expired = event
    recorded.earlier.append(ended)
    recorded.records[event.id] = Record(event.id, dict(ended.contents))

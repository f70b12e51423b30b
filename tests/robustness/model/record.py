"""The history in the order of the model: what happened to each id."""

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
    time_of,
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

    def events_of(self, request_id: str) -> list[Event]:
        """Return the events of an id in the order of their times."""
        events: list[Event] = []
        for record in self.all_records():
            if record.id == request_id:
                events += record.submits + record.observed + record.notified  # type: ignore[operator]
                events += record.failed_requests + record.images + record.refused  # type: ignore[operator]
                events += [each for each in (record.row, record.expired) if each]
        return sorted(events, key=time_of)


def index(events: Iterable[Event]) -> Recorded:
    """Index a history. The events must be in the order in which they were added."""
    recorded = Recorded()
    for event in events:
        _add(recorded, event)
    return recorded


def _add(recorded: Recorded, event: Event) -> None:  # noqa: C901, PLR0912  one case for each kind of event
    match event:
        case RunStarted():
            recorded.run = event
        case Planned():
            recorded.record(event.id).contents[event.content] = event
        case Submitted():
            recorded.record(event.id).submits.append(event)
        case Observed():
            _used_with(recorded, event.id, event.customer, event.url).observed.append(event)
        case Notified():
            body = event.body
            used = _used_with(recorded, event.id, body.get("customerId"), body.get("url"))
            used.notified.append(event)
        case FailedRequestStored():
            recorded.record(event.id).failed_requests.append(event)
        case RowStored():
            recorded.record(event.id).row = event
        case ImageStored():
            _used_with_image(recorded, event.id, event.image_id).images.append(event)
        case ImageRead():
            _used_with_image(recorded, event.id, event.image_id).image_reads.append(event)
        case ObjectRead():
            recorded.record(event.id).objects.append(event)
        case Refused():
            recorded.refused.append(event)
            for request_id in event.ids:
                recorded.record(request_id).refused.append(event)
        case StreamEnded():
            recorded.streams.append(event)
        case WatchEnded():
            recorded.watches.append(event)
        case Walked():
            recorded.walks.append(event)
        case ObjectSeen():
            recorded.objects.append(event)
        case ProcessChanged():
            recorded.changes.append(event)
        case OperatorRan():
            recorded.operators.append(event)
        case PhaseBegan():
            recorded.phases.append(event)
        case Fetched():
            recorded.fetches[event.id] = event.count
        case Counted():
            recorded.counts[event.name] = event.counts
        case Expired():
            _expire(recorded, event)


def _used_with(recorded: Recorded, request_id: str, customer: object, url: object) -> Record:
    """Return the record with this content: a caller may hear of an expired request late."""
    for record in recorded.earlier:
        last = record.last
        if record.id == request_id and last and (last.customer, last.url) == (customer, url):
            return record
    return recorded.record(request_id)


def _used_with_image(recorded: Recorded, request_id: str, image_id: str) -> Record:
    """Return the record of an image. An image stays when its request expires."""
    for record in recorded.earlier:
        last = record.last
        if record.id == request_id and last and last.image_id == image_id:
            return record
    return recorded.record(request_id)


def _expire(recorded: Recorded, event: Expired) -> None:
    """End a record. The next event of the id belongs to a new one, with the contents that are still to come."""
    ended = recorded.record(event.id)
    ended.expired = event
    recorded.earlier.append(ended)
    recorded.records[event.id] = Record(event.id, dict(ended.contents))

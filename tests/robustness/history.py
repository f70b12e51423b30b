"""The history of a run: every call, event, notification and object, in the order in which they became known.

It is only appended to. Each event is one line of JSON with its kind. Times are seconds since the epoch, of the clock of
this process, which no fault changes. A call has the interval in which the system did what it reports.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import orjson

OK = "OK"
WORKER_KILLED = "SIGKILL of a worker"
NO_RESULT = "NO_RESULT"
"""The code of an item of a stream that broke before the item had a result."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """`settings` are the arguments of the run. `tolerated` are failure codes that its faults may cause."""

    at: float
    run: str
    seed: int
    settings: dict[str, str]
    tolerated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One content of an id that the run may submit. `image` is the number of the image at the origin."""

    id: str
    content: int
    customer: str
    url: str
    labels: dict[str, str]
    behaviour: str
    image_sha256: str


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to one submit. `state` and `revision` are those of the answer if the code is OK."""

    began: float
    ended: float
    id: str
    content: int
    rpc: str
    server: str
    code: str
    reason: str = ""
    retry_after: float | None = None
    text: str = ""
    state: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Observed:
    """A state of a request that a caller read. `watch` numbers the watch that sent it; 0 is GetStatus."""

    began: float
    ended: float
    id: str
    watch: int
    customer: str
    url: str
    state: str
    revision: int
    failure: str = ""
    image_id: str = ""
    public_url: str = ""
    sha256: str = ""
    source_sha256: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The error of a read, or of a stream as a whole. `ids` are those that the caller asked for."""

    began: float
    ended: float
    rpc: str
    server: str
    code: str
    reason: str = ""
    retry_after: float | None = None
    text: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The end of a SubmitImages stream. `results` are the item ids of its results, in order."""

    began: float
    ended: float
    server: str
    code: str
    sent: tuple[str, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WatchEnded:
    """A watch that ended with OK."""

    began: float
    ended: float
    watch: int
    server: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Walked:
    """All pages of one list: `requests`, `failed`, `images` or `search`. `final` is set after the traffic."""

    began: float
    ended: float
    list: str
    customer: str
    ids: tuple[str, ...]
    final: bool = False


@dataclass(frozen=True, slots=True)
class ImageRead:
    """An answer of GetImage. `found` is False for IMAGE_NOT_FOUND."""

    began: float
    ended: float
    image_id: str
    id: str
    found: bool
    final: bool = False


@dataclass(frozen=True, slots=True)
class Notified:
    at: float
    notification_id: str
    id: str
    revision: int
    body: dict[str, Any]
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class FailedRequestStored:
    """A message of the failed-requests queue."""

    at: float
    id: str
    revision: int
    failure: str


@dataclass(frozen=True, slots=True)
class RowStored:
    """A row of the table of requests at the end."""

    at: float
    id: str
    state: str
    revision: int
    lasted_ms: int = 0
    """From its creation to its last write, by the clocks of the processes that wrote."""


@dataclass(frozen=True, slots=True)
class ImageStored:
    """A row of the table of images at the end."""

    at: float
    image_id: str
    id: str


@dataclass(frozen=True, slots=True)
class ObjectSeen:
    """An object as the bucket lists it. Recorded when it is new or has changed."""

    at: float
    key: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """An answer of the public URL of a COMPLETED request at the end, with the figures of the record."""

    at: float
    id: str
    url: str
    status: int
    sha256: str
    size: int
    media_type: str
    recorded_sha256: str
    recorded_size: int
    recorded_media_type: str


@dataclass(frozen=True, slots=True)
class Fetched:
    """How often the origin was asked for one id."""

    id: str
    count: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The run deleted the row of a request that had ended, as DynamoDB does after the retention period."""

    began: float
    ended: float
    id: str


@dataclass(frozen=True, slots=True)
class ProcessChanged:
    """A signal to a process, its end, or its readiness."""

    at: float
    process: str
    change: str


@dataclass(frozen=True, slots=True)
class OperatorRan:
    """A command of an operator. The code is None if it was killed by the run."""

    began: float
    ended: float
    command: tuple[str, ...]
    code: int | None


@dataclass(frozen=True, slots=True)
class PhaseBegan:
    at: float
    phase: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of the run that no single event shows, such as the faults that were injected."""

    name: str
    counts: dict[str, int]


Event = (
    RunStarted
    | Planned
    | Submitted
    | Observed
    | Refused
    | StreamEnded
    | WatchEnded
    | Walked
    | ImageRead
    | Notified
    | FailedRequestStored
    | RowStored
    | ImageStored
    | ObjectSeen
    | ObjectRead
    | Fetched
    | Expired
    | ProcessChanged
    | OperatorRan
    | PhaseBegan
    | Counted
)
_KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in Event.__args__}
_TUPLES = ("tolerated", "ids", "sent", "results", "command")

E = TypeVar("E", bound=Event)


def encode(event: Event) -> bytes:
    return orjson.dumps({"kind": type(event).__name__, **dataclasses.asdict(event)})


def decode(line: bytes) -> Event:
    """Decode a line. Raises KeyError for an unknown kind, TypeError for other members."""
    members: dict[str, Any] = orjson.loads(line)
    kind = _KINDS[members.pop("kind")]
    for name in _TUPLES:
        if name in members:
            members[name] = tuple(members[name])
    return kind(**members)


def time_of(event: Event) -> float:
    """Return the time at which an event was known; 0 if it has none."""
    return float(getattr(event, "ended", getattr(event, "at", 0.0)))


def read_history(path: Path) -> Iterator[Event]:
    with path.open("rb") as lines:
        for line in lines:
            yield decode(line)


class History:
    """Appends events to a file and keeps them in memory. Use it as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes]
        self.events: list[Event] = []

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, event: Event) -> None:
        self.events.append(event)
        self._file.write(encode(event) + b"\n")

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

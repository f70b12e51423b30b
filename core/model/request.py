"""The state machine of a request. Pure: nothing here reads a clock or a table.

    submit ──► PENDING r ──► COMPLETED r+1
                  │  ▲
                  ▼  │ redrive
               FAILED r+1 ──► PENDING r+2

A message carries the revision of the PENDING state that it is to end. A write that ends a request requires that very
state, so of two workers with the same message one is refused, and so is a worker that slept through a redrive.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

import orjson

FIRST_REVISION = 1


class State(StrEnum):
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no image. `attempts` counts how often the origin was asked."""

    code: str
    message: str
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A row of IMAGEREQUESTS. Times are milliseconds since the epoch.

    `retry_count` counts runs begun alone after a crash, `run_id` is that of the last; `claims` counts how often
    reconcile took the request up. `expires_at` is in seconds since the epoch, None where the row is kept for ever.
    """

    request_id: str
    customer_id: str
    origin_url: str
    payload_hash: str
    created_at: int
    updated_at: int
    labels: Mapping[str, str] = field(default_factory=dict)
    state: State = State.PENDING
    revision: int = FIRST_REVISION
    retry_count: int = 0
    claims: int = 0
    run_id: str | None = None
    image_id: str | None = None
    failure: Failure | None = None
    expires_at: int | None = None

    @property
    def terminal(self) -> bool:
        return self.state is not State.PENDING


def new_request(
    *, request_id: str, customer_id: str, url: str, labels: Mapping[str, str], now: int
) -> ImageRequest:
    return ImageRequest(
        request_id=request_id,
        customer_id=customer_id,
        origin_url=url,
        payload_hash=payload_hash(customer_id, url, labels),
        created_at=now,
        updated_at=now,
        labels=dict(labels),
    )


def payload_hash(customer_id: str, url: str, labels: Mapping[str, str]) -> str:
    """What a repeated id is compared by: all that the caller sent, 32 hexadecimal digits."""
    payload = orjson.dumps([customer_id, url, sorted(labels.items())])
    return hashlib.sha256(payload).hexdigest()[:32]


def notification_id(request_id: str, revision: int) -> str:
    """The same for every repeat of the same outcome, so that a receiver can tell."""
    return f"{request_id}:{revision}"


def next_revision(revision: int) -> int:
    return revision + 1


class MessageStatus(Enum):
    """What a message means to the row that it speaks of."""

    OPEN = auto()
    """The row waits for this very message."""
    ENDED = auto()
    """The row ended at this message's revision: an earlier run got so far and may not have told anyone."""
    STALE = auto()
    """The row has moved on; the message has no say."""
    UNKNOWN = auto()
    """There is no such row: it was deleted, or has expired."""


def message_status(request: ImageRequest | None, message_revision: int) -> MessageStatus:
    if request is None:
        return MessageStatus.UNKNOWN
    if request.state is State.PENDING:
        return MessageStatus.OPEN if request.revision == message_revision else MessageStatus.STALE
    ended_here = request.revision == next_revision(message_revision)
    return MessageStatus.ENDED if ended_here else MessageStatus.STALE


class Repeat(Enum):
    """What a submit under an id that exists already means."""

    CONFLICT = auto()
    """The id was accepted with another content."""
    UNFINISHED = auto()
    """Still PENDING: its first message may never have been sent, so it is sent again."""
    FINISHED = auto()
    """Terminal: there is nothing to do but tell its state."""


def repeat(existing: ImageRequest, offered: ImageRequest) -> Repeat:
    if existing.payload_hash != offered.payload_hash:
        return Repeat.CONFLICT
    return Repeat.FINISHED if existing.terminal else Repeat.UNFINISHED


def customer_shard(customer_id: str, request_id: str, shards: int) -> str:
    """The index key that spreads one customer's requests over `shards` partitions.

    DynamoDB takes 1,000 writes a second on one key value; a hot value in an index throttles the whole table.
    """
    digest = hashlib.blake2b(request_id.encode(), digest_size=4).digest()
    return shard_name(customer_id, int.from_bytes(digest) % shards)


def shard_name(customer_id: str, number: int) -> str:
    """The index key of one shard. A customer's id holds no `#`, so no two customers share one."""
    return f"{customer_id}#{number}"

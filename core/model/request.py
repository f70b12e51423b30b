"""The state machine of a request. Pure: it reads no clock and no table.

    submit ──► PENDING r ──► COMPLETED r+1
                  │  ▲
                  ▼  │ retry-failed
               FAILED r+1 ──► PENDING r+2

A message carries the revision of the PENDING state that it ends. A write that ends a request requires that state and
revision. So of two workers with the same message only one succeeds, and a worker with a message from before a retry
fails.
"""

import hashlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

import orjson

FIRST_REVISION = 1

CUSTOMER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""The contract's rule for customer_id."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""A request or image id as the service writes it. RFC 9562, section 4: lower case on output, either case on input."""


class State(StrEnum):
    PENDING = "PENDING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no image. `attempts` counts the requests to the origin."""

    code: str
    message: str
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """A row of IMAGEREQUESTS. Times are milliseconds since the epoch.

    retry_count: deaths of processes while they decoded the image alone; run_ids: the ids of these decodings. An earlier
    version counted the runs that it began, and stored the id of the last one. claims: how often reconcile took the
    request over. expires_at: seconds since the epoch; None if the row is kept for ever. renditions: presets that the
    submit named. not_after: no fetch begins after this time; 0 for no limit. reuse_within: age in milliseconds up to
    which an earlier fetch of the URL is reused; 0 for none. submit_id: random, of the submit that inserted the row;
    empty if the server has chosen the request id, so that no other submit has it.
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
    run_ids: tuple[str, ...] = ()
    image_id: str | None = None
    failure: Failure | None = None
    expires_at: int | None = None
    renditions: tuple[str, ...] = ()
    not_after: int = 0
    reuse_within: int = 0
    submit_id: str = ""

    @property
    def terminal(self) -> bool:
        return self.state is not State.PENDING


def new_request(
    *,
    request_id: str,
    customer_id: str,
    url: str,
    labels: Mapping[str, str],
    renditions: tuple[str, ...] = (),
    not_after: int = 0,
    reuse_within: int = 0,
    submit_id: str = "",
    now: int,
) -> ImageRequest:
    own_labels = dict(labels)
    return ImageRequest(
        request_id=request_id,
        customer_id=customer_id,
        origin_url=url,
        payload_hash=payload_hash(
            customer_id, url, own_labels, renditions, not_after=not_after, reuse_within=reuse_within
        ),
        created_at=now,
        updated_at=now,
        labels=own_labels,
        renditions=renditions,
        not_after=not_after,
        reuse_within=reuse_within,
        submit_id=submit_id,
    )


def payload_hash(
    customer_id: str,
    url: str,
    labels: Mapping[str, str],
    renditions: tuple[str, ...] = (),
    *,
    not_after: int = 0,
    reuse_within: int = 0,
) -> str:
    """Return a hash of all that the caller sent, 32 hexadecimal digits. Two submits of one id are compared by it.

    A field that an earlier version does not know is part of it only if it is set: a submit that is repeated during an
    upgrade has the same hash.
    """
    payload: list[object] = [customer_id, url, sorted(labels.items())]
    if renditions:
        payload.append(sorted(renditions))
    if not_after:
        payload.append({"notAfter": not_after})
    if reuse_within:
        payload.append({"reuseWithin": reuse_within})
    return hashlib.sha256(orjson.dumps(payload)).hexdigest()[:32]


def notification_id(request_id: str, revision: int) -> str:
    """Return the id of the notification of an outcome. Repeats have the same id, so that receivers can drop them."""
    return f"{request_id}:{revision}"


def next_revision(revision: int) -> int:
    return revision + 1


class MessageStatus(Enum):
    """The meaning of a message for the row of its request."""

    OPEN = auto()
    """The request is PENDING at this message's revision."""
    ENDED = auto()
    """An earlier run ended the request at this message's revision, and may not have notified anyone."""
    STALE = auto()
    """The request is at a later revision; the message has no effect."""
    UNKNOWN = auto()
    """There is no row: it was deleted or has expired."""


def message_status(request: ImageRequest | None, message_revision: int) -> MessageStatus:
    if request is None:
        return MessageStatus.UNKNOWN
    if request.state is State.PENDING:
        return MessageStatus.OPEN if request.revision == message_revision else MessageStatus.STALE
    ended_here = request.revision == next_revision(message_revision)
    return MessageStatus.ENDED if ended_here else MessageStatus.STALE


class ResubmitResult(Enum):
    """The meaning of a submit with an existing id."""

    CONFLICT = auto()
    """The id was accepted with different content."""
    UNFINISHED = auto()
    """The request is PENDING. Its first message may never have been sent, so it is sent again."""
    FINISHED = auto()
    """The request has ended; the caller gets its state."""


def compare_resubmit(existing: ImageRequest, submitted: ImageRequest) -> ResubmitResult:
    if existing.payload_hash != submitted.payload_hash:
        return ResubmitResult.CONFLICT
    return ResubmitResult.FINISHED if existing.terminal else ResubmitResult.UNFINISHED


def customer_shard(customer_id: str, request_id: str, shards: int) -> str:
    """Return the index key of a request, which spreads one customer's requests over `shards` partitions.

    DynamoDB allows 1,000 writes a second to one key value, and a hot key of an index throttles the whole table.
    """
    return shard_name(customer_id, zlib.crc32(request_id.encode()) % shards)


def shard_name(customer_id: str, number: int) -> str:
    """Return the index key of one shard. A customer's id contains no `#`, so no two customers share a key."""
    return f"{customer_id}#{number}"

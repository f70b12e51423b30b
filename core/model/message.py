"""The message of a request in the queue. It has all that a worker needs, so a first delivery reads no row."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

import orjson

from core.errors import ImageServiceError
from core.model.image import ImageRecord
from core.model.rendition import join_names
from core.model.request import FIRST_REVISION, UUID, ImageRequest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class OfRequest(DataclassInstance, Protocol):
        @property
        def request_id(self) -> str: ...


M = TypeVar("M", bound="OfRequest")

MAX_DELAY_S = 900
"""Longest delay of a message, in seconds (SQS limit)."""


class Lane(StrEnum):
    """The queue of a message. It keeps its lane when it is sent again; only an interactive one may move to bulk."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class MalformedMessage(ImageServiceError):
    """The body was not written by this system."""


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """The fields are the members of the message's JSON, so their names are a contract between versions.

    A member that has its default is left out: most messages have six of them.

    revision: of the PENDING state that the message ends. attempts: requests to the origin so far. resent: whether this
    is not the request's first message; its row is read before anything is fetched. suspect: whether a run may have
    killed its process; its image is decoded alone. pending_since: when the PENDING state began, in milliseconds since
    the epoch; 0 if unknown. from_dlq: whether reconcile has sent it back from the DLQ; it does so once. created_at:
    that of the request's row, in milliseconds since the epoch; 0 if unknown, and then a worker reads the row.
    renditions: presets of the renditions to make, joined by commas. A worker of an earlier version loses this member
    when it requeues the message; the row has it too. image_id: see `renditions_message`. expensive: whether an earlier
    run found that decoding the image is expensive; a decoder is awaited before the fetch. not_after, reuse_within: see
    ImageRequest; lost and restored as `renditions`. copy: whether a repeated submit has sent it beside a message that
    ends the request and notifies. deferrals: how often it was delayed because its customer held its share of the slots.
    """

    request_id: str
    customer_id: str
    url: str
    revision: int
    attempts: int = 0
    resent: bool = False
    suspect: bool = False
    pending_since: int = 0
    from_dlq: bool = False
    created_at: int = 0
    renditions: str = ""
    image_id: str = ""
    expensive: bool = False
    not_after: int = 0
    reuse_within: int = 0
    copy: bool = False
    deferrals: int = 0

    @property
    def creates_renditions(self) -> bool:
        """Whether this is a message of CreateRenditions, and not one of a request."""
        return bool(self.image_id)

    def encode(self) -> str:
        members: dict[str, object] = {
            "request_id": self.request_id,
            "customer_id": self.customer_id,
            "url": self.url,
            "revision": self.revision,
        }
        for name, default in _DEFAULTS:
            if (value := getattr(self, name)) != default:
                members[name] = value
        return orjson.dumps(members).decode()

    def requeued(
        self,
        *,
        attempts: int | None = None,
        suspect: bool = False,
        expensive: bool = False,
        copy: bool = False,
        deferrals: int | None = None,
    ) -> "ImageMessage":
        return replace(
            self,
            attempts=self.attempts if attempts is None else attempts,
            resent=True,
            suspect=suspect,
            expensive=self.expensive or expensive,
            copy=copy,
            deferrals=self.deferrals if deferrals is None else deferrals,
        )

    def dated(self, now: int) -> "ImageMessage":
        """Return this message with `pending_since`, which one of an earlier version lacks.

        Otherwise its request would wait for a host without a limit. A request that was reopened counts from `now`, in
        milliseconds since the epoch: nobody knows when that was.
        """
        if self.pending_since or self.creates_renditions:
            return self
        accepted = self.created_at if self.revision == FIRST_REVISION else 0
        return replace(self, pending_since=accepted or now)

    def as_copy(self) -> "ImageMessage":
        """Return the message of a repeated submit."""
        return replace(self, resent=True, copy=True)

    def restored(self, request: ImageRequest | None) -> "ImageMessage":
        """Return this message with the members that a worker of an earlier version drops when it requeues one.

        `request` is the row, if it was read. It is not read for a first message, which has them.
        """
        if request is None:
            return self
        return replace(
            self,
            renditions=join_names(request.renditions),
            not_after=request.not_after,
            reuse_within=request.reuse_within,
        )

    def sent_back(self) -> "ImageMessage":
        """Return the copy that goes from the DLQ to the queue. Suspected: it was received without an ack each time."""
        return replace(self, resent=True, suspect=True, from_dlq=True, copy=False)


_DEFAULTS = tuple(
    (field.name, field.default) for field in fields(ImageMessage) if field.default is not MISSING
)


def pending_seconds(message: ImageMessage, now: int) -> float:
    """Return how long the request has been PENDING at `now` (ms since the epoch); 0 if that is unknown."""
    since = message.pending_since
    return max(0, now - since) / 1_000 if since else 0.0


def first_message(request: ImageRequest) -> ImageMessage:
    return ImageMessage(
        request_id=request.request_id,
        customer_id=request.customer_id,
        url=request.origin_url,
        revision=request.revision,
        pending_since=_pending_since(request),
        created_at=request.created_at,
        renditions=join_names(request.renditions),
        not_after=request.not_after,
        reuse_within=request.reuse_within,
    )


def encode_first_message(request: ImageRequest) -> str:
    """Return the encoding of `first_message` in a third of the time: each submit sends one."""
    members: dict[str, object] = {
        "request_id": request.request_id,
        "customer_id": request.customer_id,
        "url": request.origin_url,
        "revision": request.revision,
        "pending_since": _pending_since(request),
        "created_at": request.created_at,
    }
    if request.renditions:
        members["renditions"] = join_names(request.renditions)
    if request.not_after:
        members["not_after"] = request.not_after
    if request.reuse_within:
        members["reuse_within"] = request.reuse_within
    return orjson.dumps(members).decode()


def _pending_since(request: ImageRequest) -> int:
    # The row of a reopened request does not have the time at which it was reopened, only that of its last write.
    return request.created_at if request.revision == FIRST_REVISION else request.updated_at


def renditions_message(image: ImageRecord, presets: tuple[str, ...]) -> ImageMessage:
    """Return the message of CreateRenditions for an image. It is not about the state of its request.

    Revision 0 is older than every request, and `resent` makes a worker read the row first. So a worker of an earlier
    version, which ignores `image_id`, takes the message for a stale one and deletes it.
    """
    return ImageMessage(
        request_id=image.request_id,
        customer_id=image.customer_id,
        url="",
        revision=0,
        resent=True,
        renditions=join_names(presets),
        image_id=image.image_id,
    )


def decode_message(body: str) -> ImageMessage:
    """Decode a message. Raises MalformedMessage.

    Unknown members are ignored: during a rollout, servers of the new version send to consumers of the old one.
    """
    return decode_members(ImageMessage, body)


def decode_members(kind: type[M], body: str) -> M:
    """Decode a JSON object into a dataclass with a request id and plain fields. Raises MalformedMessage.

    Unknown members are ignored.
    """
    types = _types_of(kind)
    try:
        members = orjson.loads(body).items()
        known = {name: value for name, value in members if name in types}
        message = kind(**known)
        has_id = UUID.fullmatch(message.request_id) is not None
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedMessage(str(error)) from error
    if not has_id:
        raise MalformedMessage("request_id is no id of a request")
    for name, value in known.items():
        if type(value) is not types[name]:
            raise MalformedMessage(f"{name} is of another type")
    return message


@cache
def _types_of(kind: "type[OfRequest]") -> Mapping[str, object]:
    return {field.name: field.type for field in fields(kind)}

"""The queue's message: all that a worker needs, so that a first delivery reads no row."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Protocol, TypeVar

import orjson

from core.errors import ImageServiceError
from core.model.request import FIRST_REVISION, ImageRequest

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class OfRequest(DataclassInstance, Protocol):
        @property
        def request_id(self) -> str: ...


M = TypeVar("M", bound="OfRequest")

MAX_DELAY_S = 900
"""SQS's longest delay of one message, in seconds."""


class MalformedMessage(ImageServiceError):
    """The body is not one of ours."""


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """`revision` is that of the PENDING state which the message is to end.

    `attempts` counts how often the origin was asked. `resent` marks any message but a request's first: its row is
    read before anything is fetched. `suspect` marks one whose run may have killed a process; it runs alone.
    `pending_since` is when that state began, in milliseconds since the epoch; 0 where a sender did not say.
    """

    request_id: str
    customer_id: str
    url: str
    revision: int
    attempts: int = 0
    resent: bool = False
    suspect: bool = False
    pending_since: int = 0

    def encode(self) -> str:
        return orjson.dumps(self).decode()

    def requeued(self, *, attempts: int | None = None, suspect: bool = False) -> "ImageMessage":
        """Return the message to send when this one is requeued."""
        count = self.attempts if attempts is None else attempts
        return replace(self, attempts=count, resent=True, suspect=suspect)


def first_message(request: ImageRequest) -> ImageMessage:
    return ImageMessage(
        request_id=request.request_id,
        customer_id=request.customer_id,
        url=request.origin_url,
        revision=request.revision,
        # When a redrive reopened it, the row does not say.
        pending_since=request.created_at if request.revision == FIRST_REVISION else 0,
    )


def decode_message(body: str) -> ImageMessage:
    """Raises MalformedMessage for what a sender other than this system may have put into the queue.

    Members that are not known are left out: while a new version rolls out, its servers send to older consumers.
    """
    return decode_members(ImageMessage, body)


def decode_members(kind: type[M], body: str) -> M:
    """A dataclass with a request id and plain members, out of a JSON object. Raises MalformedMessage.

    Members that are not known are left out.
    """
    types = _types_of(kind)
    try:
        members = orjson.loads(body).items()
        message = kind(**{name: value for name, value in members if name in types})
        uuid.UUID(message.request_id)
    except (ValueError, TypeError, AttributeError) as error:
        raise MalformedMessage(str(error)) from error
    for name, member in types.items():
        if type(getattr(message, name)) is not member:
            raise MalformedMessage(f"{name} is of another type")
    return message


@cache
def _types_of(kind: "type[OfRequest]") -> Mapping[str, object]:
    return {field.name: field.type for field in fields(kind)}

"""A COMPLETED request as it is kept in Redis: its row and its image's, in one JSON document. Pure."""

from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

from core.model.image import ImageRecord
from core.model.request import ImageRequest, State


class MalformedDocument(ValueError):
    """It is not what `encode` makes, or speaks of another request."""


@dataclass(frozen=True, slots=True)
class Completed:
    request: ImageRequest
    image: ImageRecord


# Members that a later version adds are passed over; one that a later version needs and an earlier one did not write
# makes the document malformed, and the tables are read.
_COMPLETED = TypeAdapter(Completed)


def encode(completed: Completed) -> bytes:
    return orjson.dumps(completed)


def decode(document: bytes | str, request_id: str) -> Completed:
    """Raises MalformedDocument. Whoever else writes to Redis must not be able to break a server, only to slow it."""
    try:
        completed = _COMPLETED.validate_json(document, strict=True)
    except ValidationError as error:
        raise MalformedDocument(str(error)) from error
    request, image = completed.request, completed.image
    if request.request_id != request_id or request.state is not State.COMPLETED:
        raise MalformedDocument(f"not the end of {request_id}")
    # Which id an image has is the row's to say: it need not be the one that is made from the request's.
    theirs = (image.request_id, image.image_id, image.customer_id)
    if theirs != (request_id, request.image_id, request.customer_id):
        raise MalformedDocument(f"not the image of {request_id}")
    return completed

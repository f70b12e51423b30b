"""The JSON document of a COMPLETED request: its row and its image's row. Pure."""

from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

from core.model.image import ImageRecord
from core.model.request import ImageRequest, State


class MalformedDocument(ValueError):
    """The document was not made by `encode`, or is about another request."""


@dataclass(frozen=True, slots=True)
class CompletedRequest:
    request: ImageRequest
    image: ImageRecord


# Members of a later version are ignored. A document that lacks a member, as one of an earlier version may, is
# malformed, and the tables are read instead.
_ADAPTER = TypeAdapter(CompletedRequest)


def encode(completed: CompletedRequest) -> bytes:
    return orjson.dumps(completed)


def decode(document: bytes | str, request_id: str) -> CompletedRequest:
    """Validate a document from Redis. Other clients of Redis may slow a server down, but not break it.

    Raises MalformedDocument.
    """
    try:
        completed = _ADAPTER.validate_json(document, strict=True)
    except ValidationError as error:
        raise MalformedDocument(str(error)) from error
    request, image = completed.request, completed.image
    if request.request_id != request_id or request.state is not State.COMPLETED:
        raise MalformedDocument(f"not the COMPLETED request {request_id}")
    # The row decides the image's id. It is not always the one derived from the request's id.
    actual = (image.request_id, image.image_id, image.customer_id)
    if actual != (request_id, request.image_id, request.customer_id):
        raise MalformedDocument(f"not the image of {request_id}")
    return completed

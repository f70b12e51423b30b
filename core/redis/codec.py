"""The JSON document of a COMPLETED request: its row and its image's row. Pure."""

from dataclasses import dataclass

import orjson
from pydantic import TypeAdapter, ValidationError

from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.request import ImageRequest, State


class MalformedDocument(ValueError):
    """The document was not made by `encode`, or is about another request."""


@dataclass(frozen=True, slots=True)
class CompletedRequest:
    request: ImageRequest
    image: ImageRecord


@dataclass(frozen=True, slots=True)
class _Image:
    """The members of an image in the document. Other versions of this system read and write them."""

    image_id: str
    request_id: str
    customer_id: str
    s3_url: str
    created_at: int
    picture: ImageMetadata
    provenance: Provenance
    request_created_at: int = 0


@dataclass(frozen=True, slots=True)
class _Document:
    request: ImageRequest
    image: _Image


# Members of a later version are ignored. A document that lacks a member, as one of an earlier version may, is
# malformed, and the tables are read instead.
_ADAPTER = TypeAdapter(_Document)


def encode(completed: CompletedRequest) -> bytes:
    image = completed.image
    stored = _Image(
        image_id=image.image_id,
        request_id=image.request_id,
        customer_id=image.customer_id,
        s3_url=image.s3_url,
        created_at=image.created_at,
        picture=image.metadata,
        provenance=image.provenance,
        request_created_at=image.request_created_at,
    )
    return orjson.dumps(_Document(completed.request, stored))


def decode(document: bytes | str, request_id: str) -> CompletedRequest:
    """Validate a document from Redis. Other clients of Redis may slow a server down, but not break it.

    Raises MalformedDocument.
    """
    try:
        decoded = _ADAPTER.validate_json(document, strict=True)
    except ValidationError as error:
        raise MalformedDocument(str(error)) from error
    request, image = decoded.request, decoded.image
    if request.request_id != request_id or request.state is not State.COMPLETED:
        raise MalformedDocument(f"not the COMPLETED request {request_id}")
    # The row decides the image's id. It is not always the one derived from the request's id.
    actual = (image.request_id, image.image_id, image.customer_id)
    if actual != (request_id, request.image_id, request.customer_id):
        raise MalformedDocument(f"not the image of {request_id}")
    record = ImageRecord(
        image_id=image.image_id,
        request_id=image.request_id,
        customer_id=image.customer_id,
        s3_url=image.s3_url,
        created_at=image.created_at,
        metadata=image.picture,
        provenance=image.provenance,
        request_created_at=image.request_created_at,
    )
    return CompletedRequest(request, record)

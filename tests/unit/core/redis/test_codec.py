"""The cached document of a COMPLETED request: it decodes to what was encoded, or not at all."""

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.model.image import ImageMetadata, ImageRecord, Provenance, image_id_of, reused_image_id
from core.model.request import ImageRequest, State, new_request
from core.redis.codec import CompletedRequest, MalformedDocument, decode, encode
from harness.outcomes import image_record

_TEXT = some.text(some.characters(exclude_categories=["Cs"]))


def completed(
    request_id: str, url: str = "https://a.example/1", **members: Any
) -> CompletedRequest:
    request = new_request(request_id=request_id, customer_id="acme", url=url, labels={}, now=1)
    ended = replace(
        request,
        state=State.COMPLETED,
        revision=2,
        image_id=image_id_of(request_id),
        **members,
    )
    record = image_record(request_id, request_created_at=1)
    metadata = replace(record.metadata, animation_duration_ms=1, removed=("VIDEO", "TRAILER"))
    return CompletedRequest(ended, replace(record, metadata=metadata))


@given(some.uuids(), _TEXT, some.dictionaries(_TEXT, _TEXT), some.none() | some.integers(0, 2**53))
def test_a_document_decodes_to_what_was_encoded(
    request_id: uuid.UUID, url: str, labels: dict[str, str], expires_at: int | None
) -> None:
    """With the types of all members, so that a server's answer is the same as from the tables."""
    known = completed(str(request_id), url, labels=labels, expires_at=expires_at)
    decoded = decode(encode(known), str(request_id))
    assert decoded == known
    kinds = (ImageRequest, ImageRecord, ImageMetadata, Provenance)
    image = decoded.image
    assert (*map(type, (decoded.request, image, image.metadata, image.provenance)),) == kinds
    assert decoded.request.state is State.COMPLETED


def test_members_of_a_later_version_are_ignored() -> None:
    """Servers and consumers may be rolled out in any order."""
    request_id = str(uuid.uuid4())
    known = completed(request_id)
    document = orjson.loads(encode(known))
    document["later"] = document["request"]["later"] = document["image"]["picture"]["later"] = [1]
    assert decode(orjson.dumps(document), request_id) == known


def test_a_document_of_an_earlier_version_lacks_the_later_metadata() -> None:
    """The image has none of it, as its row says too."""
    request_id = str(uuid.uuid4())
    known = completed(request_id)
    document = orjson.loads(encode(known))
    for name in ("animation_duration_ms", "removed"):
        del document["image"]["picture"][name]
    metadata = decode(orjson.dumps(document), request_id).image.metadata
    assert metadata == replace(known.image.metadata, animation_duration_ms=0, removed=())


@pytest.mark.parametrize(
    "path", [("request",), ("image",), ("image", "s3_url"), ("request", "request_id")]
)
def test_a_document_that_lacks_a_member_is_malformed(path: tuple[str, ...]) -> None:
    """One of an earlier version may lack it; then the tables are read."""
    request_id = str(uuid.uuid4())
    document = orjson.loads(encode(completed(request_id)))
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    with pytest.raises(MalformedDocument):
        decode(orjson.dumps(document), request_id)


@given(some.binary() | _TEXT.map(str.encode) | some.from_regex(r"[\[\]{}:,\"0-9]*").map(str.encode))
def test_other_bytes_are_malformed(document: bytes) -> None:
    with pytest.raises(MalformedDocument):
        decode(document, str(uuid.uuid4()))


def test_the_row_decides_the_id_of_the_image() -> None:
    """It is not always derived from the request's id: an earlier request may have had that id."""
    request_id = str(uuid.uuid4())
    known, later = completed(request_id), reused_image_id(request_id, 1)
    image = replace(known.image, image_id=later)
    named = CompletedRequest(replace(known.request, image_id=later), image)
    assert decode(encode(named), request_id) == named
    for wrong in (replace(known, image=image), replace(named, image=known.image)):
        with pytest.raises(MalformedDocument):
            decode(encode(wrong), request_id)


def test_a_document_of_another_request_is_malformed() -> None:
    """So is another request's image, another customer's image, and a request that is not COMPLETED."""
    request_id, other = str(uuid.uuid4()), str(uuid.uuid4())
    known = completed(request_id)
    wrong = [
        completed(other),
        replace(known, image=image_record(other)),
        replace(known, image=image_record(request_id, "globex")),
        replace(known, request=replace(known.request, state=State.FAILED)),
    ]
    for each in wrong:
        with pytest.raises(MalformedDocument):
            decode(encode(each), request_id)

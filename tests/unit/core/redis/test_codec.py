"""What is kept in Redis comes out as it went in, or not at all."""

import uuid
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from core.model.image import ImageMetadata, ImageRecord, Provenance
from core.model.request import ImageRequest, State, image_id_of, new_request, reused_image_id
from core.redis.codec import Completed, MalformedDocument, decode, encode
from harness.outcomes import image_record

_TEXT = some.text(some.characters(exclude_categories=["Cs"]))


def completed(request_id: str, url: str = "https://a.example/1", **members: Any) -> Completed:
    request = new_request(request_id=request_id, customer_id="acme", url=url, labels={}, now=1)
    ended = replace(
        request,
        state=State.COMPLETED,
        revision=2,
        image_id=image_id_of(request_id),
        **members,
    )
    return Completed(ended, image_record(request_id))


@given(some.uuids(), _TEXT, some.dictionaries(_TEXT, _TEXT), some.none() | some.integers(0, 2**53))
def test_it_comes_out_as_it_went_in(
    request_id: uuid.UUID, url: str, labels: dict[str, str], expires_at: int | None
) -> None:
    """To the types of its members, so that a server's answer is that of the tables."""
    known = completed(str(request_id), url, labels=labels, expires_at=expires_at)
    found = decode(encode(known), str(request_id))
    assert found == known
    kinds = (ImageRequest, ImageRecord, ImageMetadata, Provenance)
    image = found.image
    assert (*map(type, (found.request, image, image.picture, image.provenance)),) == kinds
    assert found.request.state is State.COMPLETED


def test_members_of_a_later_version_are_passed_over() -> None:
    """Servers and consumers may roll in any order."""
    request_id = str(uuid.uuid4())
    known = completed(request_id)
    document = orjson.loads(encode(known))
    document["later"] = document["request"]["later"] = document["image"]["picture"]["later"] = [1]
    assert decode(orjson.dumps(document), request_id) == known


@pytest.mark.parametrize(
    "path", [("request",), ("image",), ("image", "s3_url"), ("request", "request_id")]
)
def test_without_a_member_it_is_none(path: tuple[str, ...]) -> None:
    """What an earlier version did not write is read from the tables."""
    request_id = str(uuid.uuid4())
    document = orjson.loads(encode(completed(request_id)))
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    with pytest.raises(MalformedDocument):
        decode(orjson.dumps(document), request_id)


@given(some.binary() | _TEXT.map(str.encode) | some.from_regex(r"[\[\]{}:,\"0-9]*").map(str.encode))
def test_bytes_of_somebody_else_are_none(document: bytes) -> None:
    with pytest.raises(MalformedDocument):
        decode(document, str(uuid.uuid4()))


def test_the_image_has_the_id_that_the_row_says() -> None:
    """It need not be made from the request's alone: an earlier request may have had that."""
    request_id = str(uuid.uuid4())
    known, later = completed(request_id), reused_image_id(request_id, 1)
    image = replace(known.image, image_id=later)
    named = Completed(replace(known.request, image_id=later), image)
    assert decode(encode(named), request_id) == named
    for wrong in (replace(known, image=image), replace(named, image=known.image)):
        with pytest.raises(MalformedDocument):
            decode(encode(wrong), request_id)


def test_the_end_of_another_request_is_none() -> None:
    """Nor is another's image, or another customer's, nor a request that has not ended well."""
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

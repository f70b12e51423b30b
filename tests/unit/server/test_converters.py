"""Conversion of records to messages of the contract."""

from dataclasses import replace

from core.errors import FailureCode
from core.model.color import Color
from core.model.image import ImageRecord, Provenance, RemovedPart
from core.model.request import Failure, State, new_request
from harness.image_metadata import FULL_METADATA
from harness.outcomes import image_record
from imageservice.v1 import image_service_pb2 as pb
from server.converters import (
    COLORS,
    FAILURE_CODES,
    REMOVED_PARTS,
    STATES,
    to_image_message,
    to_request_message,
)

REQUEST = new_request(
    request_id="r", customer_id="acme", url="https://a.example/1", labels={"a": "b"}, now=1_234
)


def test_every_state_and_code_has_its_own_value_in_the_contract() -> None:
    """Clients can read every value that we write, and the contract has no value that we never write."""
    assert set(STATES.values()) == set(pb.State.values()) - {pb.STATE_UNSPECIFIED}
    codes = set(pb.FailureCode.values()) - {pb.FAILURE_CODE_UNSPECIFIED}
    assert set(FAILURE_CODES.values()) == codes
    assert len(FAILURE_CODES) == len(FailureCode)
    assert set(COLORS.values()) == set(pb.Color.values()) - {pb.COLOR_UNSPECIFIED}
    assert len(COLORS) == len(Color)
    parts = set(pb.RemovedPart.values()) - {pb.REMOVED_PART_UNSPECIFIED}
    assert set(REMOVED_PARTS.values()) == parts
    assert len(REMOVED_PARTS) == len(RemovedPart)


def test_a_pending_request_has_neither_image_nor_failure() -> None:
    """All fields are copied, times to the millisecond."""
    message = to_request_message(REQUEST, None, "https://cdn.example/")
    assert (message.url, message.state, message.revision) == (
        "https://a.example/1",
        pb.STATE_PENDING,
        1,
    )
    assert message.create_time.ToMilliseconds() == 1_234
    assert dict(message.labels) == {"a": "b"}
    assert not message.HasField("image")
    assert not message.HasField("failure")


def test_a_failure_has_its_code() -> None:
    """A code becomes a value of the contract; an unknown one becomes UNSPECIFIED."""
    for code, expected in (
        ("TIMEOUT", pb.FAILURE_CODE_TIMEOUT),
        ("NEWER", pb.FAILURE_CODE_UNSPECIFIED),
    ):
        failed = replace(REQUEST, state=State.FAILED, failure=Failure(code, "why", 3))
        failure = to_request_message(failed, None, "https://cdn.example/").failure
        assert (failure.code, failure.message, failure.attempts) == (expected, "why", 3)


def test_an_image_has_all_metadata() -> None:
    """Each field of the record has its field in the contract; the public URL is base URL and key."""
    record = ImageRecord(
        image_id="i",
        request_id="r",
        customer_id="acme",
        s3_url="s3://bucket/images/aa/x.jpg",
        created_at=1,
        metadata=replace(FULL_METADATA, removed=("LOCATION", "A_LATER_PART")),
        provenance=Provenance("https://b.example/", 1, "etag", "yesterday", "image/png"),
    )
    completed = replace(REQUEST, state=State.COMPLETED, revision=2, image_id="i")
    image = to_request_message(completed, record, "https://cdn.example/").image
    assert (image.image_id, image.public_url) == ("i", "https://cdn.example/images/aa/x.jpg")
    metadata = image.metadata
    assert all(getattr(metadata, field.name) for field in metadata.DESCRIPTOR.fields)
    assert (metadata.width, metadata.source_sha256) == (640, "b" * 64)
    assert metadata.provenance.final_url == "https://b.example/"
    assert metadata.animation_duration.ToMilliseconds() == 250
    assert metadata.color == pb.COLOR_BLUE
    assert list(metadata.removed) == [pb.REMOVED_PART_LOCATION, pb.REMOVED_PART_UNSPECIFIED]


def test_a_still_image_of_a_header_check_has_neither_duration_nor_color() -> None:
    """Absent and unspecified, not zero and black."""
    record = image_record("6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11")
    checked = replace(record, metadata=replace(record.metadata, dominant_color=""))
    metadata = to_image_message(checked, "https://cdn.example/").metadata
    assert not metadata.HasField("animation_duration")
    assert (metadata.color, list(metadata.removed)) == (pb.COLOR_UNSPECIFIED, [])

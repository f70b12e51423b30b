"""The messages between the worker and a decoder. test_sandbox_hostile_decoders.py has malicious answers."""

import socket
import threading
from dataclasses import fields, replace

import pytest

from consumer.imaging.policy import ImagePolicy
from consumer.imaging.result import Examination
from consumer.sandbox.protocol import (
    FAILURES,
    Answer,
    Expected,
    Expensive,
    Fault,
    Ready,
    Request,
    decode_message,
    decode_ready,
    encode_answer,
    encode_request,
    message_size,
    receive_request,
)
from core.answers import MalformedAnswer
from core.model.image import ImageMetadata
from harness.image_metadata import FULL_METADATA, as_examined

POLICY = ImagePolicy()
BODY = bytes(range(200))
EXPECTED = Expected(len(BODY))
METADATA = as_examined(FULL_METADATA)
EXAMINATION = Examination(METADATA, ((0, 4, b""), (10, 10, b"new"), (20, 30, b"x")), 150)


@pytest.mark.parametrize(
    "answer",
    [EXAMINATION, Expensive(1), Fault("ValueError"), Examination(METADATA, (), len(BODY))],
    ids=["edits", "expensive", "fault", "no edit"],
)
def test_an_answer_arrives_as_it_was_sent(answer: Answer) -> None:
    """With what was written to standard error."""
    message = encode_answer(answer, "a warning\n")
    assert message_size(message, EXPECTED.data_max) == len(message)
    reply = decode_message(message, EXPECTED, POLICY)
    assert (reply.answer, reply.warnings) == (answer, "a warning\n")


def test_every_member_of_the_metadata_arrives() -> None:
    """METADATA has no default value, so a member that is not sent would differ."""
    for field in fields(ImageMetadata):
        if field.name not in {"bytes", "sha256", "source_sha256"}:
            assert getattr(METADATA, field.name) not in {"", 0, ()}, field.name
    answer = decode_message(encode_answer(EXAMINATION), EXPECTED, POLICY).answer
    assert isinstance(answer, Examination)
    assert answer.metadata == METADATA


@pytest.mark.parametrize("code", FAILURES)
def test_a_failure_arrives_with_its_detail(code: str) -> None:
    """Of the classes that a decoder may report."""
    answer = decode_message(encode_answer(FAILURES[code]("why")), EXPECTED, POLICY).answer
    assert (type(answer), str(answer)) == (FAILURES[code], str(FAILURES[code]("why")))


@pytest.mark.parametrize(
    "members",
    [
        {"width": 0},
        {"height": 1 << 31},
        {"frames": POLICY.max_frames + 1},
        {"mode": "R" * 17},
        {"perceptual_hash": "0123456789ABCDEF"},
        {"dominant_color": "#12345"},
        {"capture_time": "yesterday"},
        {"camera": "a\nb"},
        {"camera": "x" * 129},
        {"had_location": 1},
        {"animation_duration_ms": -1},
        {"removed": ("PARENT",)},
        {"format": "SVG"},
    ],
    ids=str,
)
def test_a_member_outside_its_range_is_refused(members: dict[str, object]) -> None:
    answer = replace(EXAMINATION, metadata=replace(METADATA, **members))  # type: ignore[arg-type]
    with pytest.raises(MalformedAnswer):
        decode_message(encode_answer(answer), EXPECTED, POLICY)


@pytest.mark.parametrize(
    ("edits", "end"),
    [
        (((4, 2, b""),), 150),
        (((0, 5, b""), (4, 6, b"")), 150),
        (((140, 151, b""),), 150),
        (((-1, 2, b""),), 150),
        ((), 0),
        ((), len(BODY) + 1),
        (((0, 0, b"x" * ((1 << 20) + 300)),), 150),
    ],
    ids=["reversed", "overlap", "beyond the end", "negative", "no body", "long end", "long"],
)
def test_edits_that_cannot_be_applied_are_refused(
    edits: tuple[tuple[int, int, bytes], ...], end: int
) -> None:
    with pytest.raises(MalformedAnswer):
        receive(encode_answer(Examination(METADATA, edits, end)))


def receive(message: bytes) -> Answer:
    """Do what the worker does with a message."""
    message_size(message, EXPECTED.data_max)
    return decode_message(message, EXPECTED, POLICY).answer


def test_the_media_type_is_our_own() -> None:
    """It becomes a header of the published object."""
    sent = replace(EXAMINATION, metadata=replace(METADATA, media_type="text/html"))
    answer = decode_message(encode_answer(sent), EXPECTED, POLICY).answer
    assert isinstance(answer, Examination)
    assert answer.metadata.media_type == "image/png"


def test_a_greeting_names_the_protections() -> None:
    ready = Ready(("limits", "seccomp"), 50_000_000)
    assert decode_ready(encode_answer(ready)) == ready
    with pytest.raises(MalformedAnswer):
        decode_ready(encode_answer(Expensive(1)))


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_request_arrives_as_it_was_sent(size: int) -> None:
    request = Request(bytes(size), 5_000, cheap_only=True, renditions=("small",))
    ours, theirs = socket.socketpair()
    with theirs:
        sending = threading.Thread(target=ours.sendall, args=(b"".join(encode_request(request)),))
        sending.start()
        assert receive_request(theirs) == request
        sending.join()
        ours.close()
        assert receive_request(theirs) is None

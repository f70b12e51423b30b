"""Encoding and decoding of the queue's messages."""

import json
from dataclasses import asdict, replace

import pytest

from core.model.message import (
    ImageMessage,
    MalformedMessage,
    decode_message,
    first_message,
    renditions_message,
)
from core.model.rendition import split_names
from core.model.request import MessageStatus, State, message_status, new_request
from harness.outcomes import image_record

MESSAGE = ImageMessage(
    request_id="2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11",
    customer_id="acme",
    url="http://h/i",
    revision=1,
)


def test_a_message_survives_the_queue() -> None:
    """Decoding reverses encoding."""
    requeued = MESSAGE.requeued(attempts=2, suspect=True)
    assert decode_message(requeued.encode()) == requeued


@pytest.mark.parametrize(
    "change",
    [
        {"request_id": []},
        {"request_id": ""},
        {"request_id": "x"},
        {"url": None},
        {"revision": "1"},
        {"revision": True},
        {"attempts": 1.5},
        {"suspect": "yes"},
    ],
)
def test_a_field_of_another_type_makes_the_message_malformed(change: dict[str, object]) -> None:
    """Such a message must fail alone."""
    with pytest.raises(MalformedMessage):
        decode_message(json.dumps({**asdict(MESSAGE), **change}))


def test_a_member_of_a_later_version_is_ignored() -> None:
    """During a rollout, new servers send to old workers."""
    assert decode_message(json.dumps({**asdict(MESSAGE), "later": 1})) == MESSAGE


def test_a_message_of_the_previous_version_is_decoded() -> None:
    """During a rollout, old servers and workers still send."""
    later = {"pending_since", "from_dlq", "created_at", "renditions", "image_id", "expensive"}
    before = {name: value for name, value in asdict(MESSAGE).items() if name not in later}
    assert decode_message(json.dumps(before)) == MESSAGE


def test_a_message_of_an_expensive_image_stays_one() -> None:
    """Later requeues for other reasons must not cost another fetch in vain."""
    assert MESSAGE.requeued(expensive=True).requeued(attempts=1).expensive


def test_a_reopened_request_does_not_count_from_its_first_acceptance() -> None:
    """Days may lie between them. The row has the time of its last write, which is later than that of the redrive."""
    request = new_request(
        request_id=MESSAGE.request_id, customer_id="acme", url="http://h/i", labels={}, now=1_000
    )
    first = first_message(request)
    assert (first.pending_since, first.created_at) == (1_000, 1_000)
    reopened = first_message(replace(request, revision=request.revision + 2, updated_at=5_000))
    assert (reopened.pending_since, reopened.created_at) == (5_000, 1_000)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (MESSAGE, 9_000),
        (replace(MESSAGE, created_at=1_000), 1_000),
        (replace(MESSAGE, created_at=1_000, revision=3), 9_000),
        (replace(MESSAGE, created_at=1_000, pending_since=2_000), 2_000),
        (renditions_message(image_record(MESSAGE.request_id), ("one",)), 0),
    ],
    ids=["unknown", "accepted", "reopened", "known", "renditions"],
)
def test_a_message_of_an_earlier_version_is_dated(message: ImageMessage, expected: int) -> None:
    """From its acceptance, or at least from its first requeue. That of renditions is of no PENDING request."""
    assert message.dated(9_000) == replace(message, pending_since=expected)


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "{", '"text"', "\ud800"])
def test_any_other_body_is_malformed(body: str) -> None:
    """Another sender may have put it into the queue."""
    with pytest.raises(MalformedMessage):
        decode_message(body)


def test_a_worker_of_the_previous_version_deletes_a_message_of_create_renditions() -> None:
    """It ignores the image's id and sees a message that is older than the request, in each of its states."""
    request = new_request(
        request_id=MESSAGE.request_id, customer_id="acme", url="http://h/i", labels={}, now=1_000
    )
    message = renditions_message(image_record(MESSAGE.request_id), ("one", "two"))
    assert decode_message(message.encode()) == message
    assert split_names(message.renditions) == ("one", "two")
    assert message.creates_renditions
    assert message.resent
    for state, revision in ((State.PENDING, 1), (State.COMPLETED, 2), (State.FAILED, 2)):
        row = replace(request, state=state, revision=revision)
        assert message_status(row, message.revision) is MessageStatus.STALE

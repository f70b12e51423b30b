"""What comes out of the queue."""

import json
from dataclasses import asdict, replace

import pytest

from core.model.message import ImageMessage, MalformedMessage, decode_message, first_message
from core.model.request import new_request

MESSAGE = ImageMessage(
    request_id="2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11",
    customer_id="acme",
    url="http://h/i",
    revision=1,
)


def test_a_message_survives_the_queue() -> None:
    """What is encoded is decoded as it was."""
    again = MESSAGE.requeued(attempts=2, suspect=True)
    assert decode_message(again.encode()) == again


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
    """One bad message must not take its neighbours along."""
    with pytest.raises(MalformedMessage):
        decode_message(json.dumps({**asdict(MESSAGE), **change}))


def test_a_member_of_a_later_version_is_left_out() -> None:
    """While a version rolls out, its servers send to consumers of the one before."""
    assert decode_message(json.dumps({**asdict(MESSAGE), "later": 1})) == MESSAGE


def test_a_message_of_the_version_before_is_read() -> None:
    """Its servers and consumers still send while this version rolls out."""
    before = {name: value for name, value in asdict(MESSAGE).items() if name != "pending_since"}
    assert decode_message(json.dumps(before)) == MESSAGE


def test_a_reopened_request_does_not_count_from_its_first_acceptance() -> None:
    """Days may lie between; the row does not say when the redrive was."""
    request = new_request(
        request_id=MESSAGE.request_id, customer_id="acme", url="http://h/i", labels={}, now=1_000
    )
    assert first_message(request).pending_since == 1_000
    reopened = replace(request, revision=request.revision + 2)
    assert first_message(reopened).pending_since == 0


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "{", '"text"', "\ud800"])
def test_what_is_no_message_of_ours_is_malformed(body: str) -> None:
    """Whatever another sender put into the queue."""
    with pytest.raises(MalformedMessage):
        decode_message(body)

"""Encoding and decoding of messages of the failed-requests queue."""

import json
from dataclasses import asdict

import pytest

from consumer.notify.outcome import FailedRequestMessage, decode_failed_request_message
from core.model.message import MalformedMessage

MESSAGE = FailedRequestMessage(
    request_id="2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11",
    customer_id="acme",
    url="http://h/i",
    revision=2,
    failure_code="TIMEOUT",
    failure_message="The origin did not answer in time",
)


def test_a_message_survives_the_queue() -> None:
    """Decoding reverses encoding."""
    assert decode_failed_request_message(MESSAGE.encode()) == MESSAGE


def test_a_member_of_a_later_version_is_ignored() -> None:
    """An older command reads messages of newer workers."""
    assert decode_failed_request_message(json.dumps({**asdict(MESSAGE), "later": 1})) == MESSAGE


@pytest.mark.parametrize(
    "change", [{"request_id": "x"}, {"url": None}, {"revision": "2"}, {"failure_code": 7}]
)
def test_a_field_of_another_type_makes_the_message_malformed(change: dict[str, object]) -> None:
    """Such a message must fail alone."""
    with pytest.raises(MalformedMessage):
        decode_failed_request_message(json.dumps({**asdict(MESSAGE), **change}))


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "{", '"text"', "\ud800"])
def test_any_other_body_is_malformed(body: str) -> None:
    """Another sender may have put it into the queue."""
    with pytest.raises(MalformedMessage):
        decode_failed_request_message(body)

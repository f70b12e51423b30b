"""What is read out of the dead letters."""

import json
from dataclasses import asdict

import pytest

from consumer.notify.outcome import FailedRequestMessage, decode_failed_request_message
from core.model.message import MalformedMessage

LETTER = FailedRequestMessage(
    request_id="2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11",
    customer_id="acme",
    url="http://h/i",
    revision=2,
    failure_code="TIMEOUT",
    failure_message="The origin did not answer in time",
)


def test_a_letter_survives_the_queue() -> None:
    """What is encoded is decoded as it was."""
    assert decode_failed_request_message(LETTER.encode()) == LETTER


def test_a_member_of_a_later_version_is_left_out() -> None:
    """An operator's older command reads what newer consumers wrote."""
    assert decode_failed_request_message(json.dumps({**asdict(LETTER), "later": 1})) == LETTER


@pytest.mark.parametrize(
    "change", [{"request_id": "x"}, {"url": None}, {"revision": "2"}, {"failure_code": 7}]
)
def test_a_field_of_another_type_makes_the_letter_malformed(change: dict[str, object]) -> None:
    """One bad letter must not take its neighbours along."""
    with pytest.raises(MalformedMessage):
        decode_failed_request_message(json.dumps({**asdict(LETTER), **change}))


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "{", '"text"', "\ud800"])
def test_what_is_no_letter_of_ours_is_malformed(body: str) -> None:
    """Whatever another sender put into the queue."""
    with pytest.raises(MalformedMessage):
        decode_failed_request_message(body)

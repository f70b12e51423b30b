"""What is read out of the dead letters."""

import json
from dataclasses import asdict

import pytest

from consumer.dead_letter import decode_dead_letter
from consumer.outcome import DeadLetter
from core.message import MalformedMessage

LETTER = DeadLetter(
    request_id="2f1c1d4e-7f0a-4a53-9d0e-0b0f6f1f3b11",
    customer_id="acme",
    url="http://h/i",
    revision=2,
    failure_code="TIMEOUT",
    failure_message="The origin did not answer in time",
)


def test_a_letter_survives_the_queue() -> None:
    """What is encoded is decoded as it was."""
    assert decode_dead_letter(LETTER.encode()) == LETTER


def test_a_member_of_a_later_version_is_left_out() -> None:
    """An operator's older command reads what newer consumers wrote."""
    assert decode_dead_letter(json.dumps({**asdict(LETTER), "later": 1})) == LETTER


@pytest.mark.parametrize(
    "change", [{"request_id": "x"}, {"url": None}, {"revision": "2"}, {"failure_code": 7}]
)
def test_a_field_of_another_type_makes_the_letter_malformed(change: dict[str, object]) -> None:
    """One bad letter must not take its neighbours along."""
    with pytest.raises(MalformedMessage):
        decode_dead_letter(json.dumps({**asdict(LETTER), **change}))


@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "{", '"text"', "\ud800"])
def test_what_is_no_letter_of_ours_is_malformed(body: str) -> None:
    """Whatever another sender put into the queue."""
    with pytest.raises(MalformedMessage):
        decode_dead_letter(body)

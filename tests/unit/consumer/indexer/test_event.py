"""Decoding and deduplication of events."""

import json
import uuid

import pytest

from consumer.indexer.event_queue import Event, MalformedEvent, decode_event, dedupe
from consumer.notify.notification import notification_entry
from consumer.notify.outcome import Outcome
from core.model.request import Failure

ID = "0b8f3b5e-97a1-4f0f-9d8c-0f2a3b4c5d6e"


def test_a_notification_is_an_event() -> None:
    """SNS sends the published JSON to the indexer's queue unchanged."""
    outcome = Outcome(ID, "acme", "https://a.example/1", 2, failure=Failure("TIMEOUT", "late"))
    entry = notification_entry(outcome, "https://cdn.example/")
    assert decode_event(json.loads(entry["Message"])["default"], "r") == Event(ID, ("r",))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        '{"requestId": 1}',
        '{"requestId": null}',
        '{"requestId": "x"}',
    ],
)
def test_another_body_is_malformed(body: str) -> None:
    """Any body raises MalformedEvent and no other error."""
    with pytest.raises(MalformedEvent):
        decode_event(body, "r")


def test_messages_of_one_request_are_one_event() -> None:
    """Its messages are deleted together. The order of the events stays."""
    other = str(uuid.uuid4())
    events = [Event(ID, ("a",)), Event(other, ("b",)), Event(ID, ("c",))]
    assert dedupe(events) == [Event(ID, ("a", "c")), Event(other, ("b",))]


@pytest.mark.parametrize("firsts", [(True, False), (False, True)])
def test_a_repeated_message_makes_the_event_a_repeat(firsts: tuple[bool, bool]) -> None:
    """The order of the messages does not matter."""
    one, other = (Event(ID, (str(n),), first) for n, first in enumerate(firsts))
    assert dedupe([one, other]) == [Event(ID, ("0", "1"), first=False)]

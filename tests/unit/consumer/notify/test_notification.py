"""The notification's form for each protocol."""

import json
from dataclasses import replace

import pytest

from consumer.notify.notification import SUBJECT_LIMIT, entry_bytes, notification_entry
from consumer.notify.outcome import Outcome
from core.model.image import ImageRecord, Provenance
from core.model.request import Failure
from harness.image_metadata import METADATA

BASE = "https://cdn.example/"
RECORD = ImageRecord(
    "image-1", "request-1", "acme", "s3://bucket/images/ab/tag/x.png", 5, METADATA, Provenance()
)
COMPLETED = Outcome("request-1", "acme", "http://h/i.png", 2, image=RECORD)
FAILED = Outcome(
    "request-1", "acme", "http://h/i.png", 2, failure=Failure("NOT_FOUND", "Nothing there", 1)
)


@pytest.mark.parametrize("outcome", [COMPLETED, FAILED])
def test_attributes_let_a_subscription_filter(outcome: Outcome) -> None:
    """Customer, status, request and revision are message attributes."""
    attributes = notification_entry(outcome, BASE)["MessageAttributes"]
    assert {name: value["StringValue"] for name, value in attributes.items()} == {
        "customerId": "acme",
        "status": outcome.state,
        "requestId": "request-1",
        "revision": "2",
    }


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(COMPLETED, "https://cdn.example/images/ab/tag/x.png"), (FAILED, "Nothing there")],
)
@pytest.mark.parametrize("protocol", ["email", "sms"])
def test_email_and_sms_contain_the_url_or_the_reason(
    outcome: Outcome, expected: str, protocol: str
) -> None:
    """They are a sentence, not JSON."""
    text = json.loads(notification_entry(outcome, BASE)["Message"])[protocol]
    assert expected in text
    assert not text.startswith("{")


def test_queues_and_webhooks_get_json_with_the_notification_id() -> None:
    """The id is made of request and revision, so receivers can drop repeats."""
    event = json.loads(json.loads(notification_entry(COMPLETED, BASE)["Message"])["default"])
    assert event["notificationId"] == "request-1:2"
    assert event["publicUrl"] == "https://cdn.example/images/ab/tag/x.png"
    assert event["metadata"]["sourceSha256"] == "a" * 64


def test_the_metadata_of_a_notification_is_that_of_the_contract() -> None:
    """With the name of the color, the duration in milliseconds, and what was removed."""
    metadata = replace(METADATA, animation_duration_ms=1_250, removed=("VIDEO",))
    outcome = replace(COMPLETED, image=replace(RECORD, metadata=metadata))
    event = json.loads(json.loads(notification_entry(outcome, BASE)["Message"])["default"])
    told = event["metadata"]
    assert (told["animationDurationMs"], told["removed"]) == (1_250, ["VIDEO"])
    assert (told["dominantColor"], told["color"]) == ("#336699", "BLUE")


def test_a_failure_has_code_message_and_attempts() -> None:
    """Programs match the code; the message is for people."""
    event = json.loads(json.loads(notification_entry(FAILED, BASE)["Message"])["default"])
    assert event["failure"] == {"code": "NOT_FOUND", "message": "Nothing there", "attempts": 1}
    assert "publicUrl" not in event


def test_the_subject_fits_an_email() -> None:
    """SNS rejects a subject of more than 100 characters."""
    outcome = Outcome("r" * 200, "acme", "http://h/i.png", 2, failure=FAILED.failure)
    assert len(notification_entry(outcome, BASE)["Subject"]) == SUBJECT_LIMIT


LONGEST = "https://e.example/"
LONGEST_URLS = {
    "letters": LONGEST.ljust(8_190, "a"),
    "quotes": LONGEST.ljust(8_190, '"'),
    "backslashes": f"{LONGEST}?".ljust(8_190, "\\"),
    "two bytes": LONGEST + "ä" * ((8_190 - len(LONGEST)) // 2),
    "four bytes": LONGEST + "\U0001f600" * ((8_190 - len(LONGEST)) // 4),
}


@pytest.mark.parametrize("outcome", [COMPLETED, FAILED])
@pytest.mark.parametrize("url", LONGEST_URLS.values(), ids=LONGEST_URLS)
def test_the_longest_url_fits(outcome: Outcome, url: str) -> None:
    """An entry fits a call, an SMS its limit, and the event has the URL as it was sent."""
    entry = notification_entry(replace(outcome, url=url), BASE)
    sent = len(entry["Message"].encode()) + len(entry["Subject"].encode())
    sent += len(json.dumps(entry["MessageAttributes"]))
    assert sent <= entry_bytes(entry) < 65_536
    forms = json.loads(entry["Message"])
    assert json.loads(forms["default"])["url"] == url
    assert len(forms["sms"]) <= 1_600


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://h/two words\u202egpj.exe", "http://h/two%20words%E2%80%AEgpj.exe"),
        ("http://b\u00fccher.example/\u200b", "http://xn--bcher-kva.example/%E2%80%8B"),
        ("\u202ehttp://h/", "%E2%80%AEhttp://h/"),
        ("http://h/" + "a" * 2_000, "http://h/" + "a" * 991 + "…"),
    ],
)
def test_a_sentence_has_no_character_that_hides_others(url: str, text: str) -> None:
    """The URL is escaped, also one that this version would not accept, and shortened."""
    entry = notification_entry(replace(FAILED, url=url), BASE)
    assert json.loads(entry["Message"])["email"].endswith(f"URL: {text}")

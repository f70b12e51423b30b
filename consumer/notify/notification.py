"""The notification of an outcome, in a form for each protocol. Pure.

Queues and webhooks get JSON (SNS's `default`); email and SMS get a sentence.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import orjson

from consumer.notify.outcome import Outcome
from core.aws.batch import text_bytes
from core.dynamodb.schema import camel_items
from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from core.model.rendition import Rendition

SUBJECT_LIMIT = 100
"""Longest subject of an email, in characters (SNS limit)."""
_SENTENCE_URL_CHARACTERS = 1_000
"""Longest URL in a sentence. SNS does not send an SMS of more than 1,600 characters."""
_REST_BYTES = 1_024
"""More than the subject and the attributes of an entry have."""


def notification_entry(outcome: Outcome, public_base_url: str) -> dict[str, Any]:
    """Return an entry of SNS PublishBatch, without its Id."""
    event = orjson.dumps(_event(outcome, public_base_url)).decode()
    text = _sentence(outcome, public_base_url)
    return {
        "Subject": _subject(outcome)[:SUBJECT_LIMIT],
        "Message": orjson.dumps({"default": event, "email": text, "sms": text}).decode(),
        "MessageStructure": "json",
        "MessageAttributes": {
            "customerId": _string(outcome.customer_id),
            "status": _string(outcome.state),
            "requestId": _string(outcome.request_id),
            "revision": {"DataType": "Number", "StringValue": str(outcome.revision)},
        },
    }


def entry_bytes(entry: Mapping[str, Any]) -> int:
    """Return an upper bound of the bytes of an entry, as SNS counts them."""
    return text_bytes(entry["Message"]) + _REST_BYTES


def _event(outcome: Outcome, public_base_url: str) -> dict[str, Any]:
    event: dict[str, Any] = {
        "notificationId": outcome.notification_id,
        "requestId": outcome.request_id,
        "customerId": outcome.customer_id,
        "url": outcome.url,
        "status": outcome.state,
        "revision": outcome.revision,
    }
    if outcome.image:
        event["imageId"] = outcome.image.image_id
        event["publicUrl"] = outcome.image.public_url(public_base_url)
        metadata = outcome.image.metadata
        event["metadata"] = dict(camel_items(metadata)) | {"color": metadata.color or ""}
    if outcome.renditions:
        event["renditions"] = [_rendition(each, public_base_url) for each in outcome.renditions]
    if outcome.failure:
        event["failure"] = asdict(outcome.failure)
    return event


def _rendition(rendition: Rendition, public_base_url: str) -> dict[str, Any]:
    if rendition.failed:
        failure = {"code": rendition.failure_code, "message": rendition.failure_message}
        return {"preset": rendition.preset, "failure": failure}
    return {
        "preset": rendition.preset,
        "publicUrl": rendition.public_url(public_base_url),
        "mediaType": rendition.media_type,
        "width": rendition.width,
        "height": rendition.height,
        "bytes": rendition.bytes,
        "sha256": rendition.sha256,
    }


def _sentence(outcome: Outcome, public_base_url: str) -> str:
    if outcome.image:
        return f"Your image is published: {outcome.image.public_url(public_base_url)}"
    reason = outcome.failure.message if outcome.failure else ""
    return f"Your image could not be published: {reason}. URL: {_readable_url(outcome.url)}"


def _readable_url(url: str) -> str:
    """Return the escaped URL, shortened: the sentence must have none of its control or bidirectional characters."""
    try:
        text = parse_origin_url(url).request_url
    except InvalidOriginUrl:  # an earlier version with other rules accepted it
        text = quote(url, safe=":/?&=%")
    if len(text) <= _SENTENCE_URL_CHARACTERS:
        return text
    return f"{text[:_SENTENCE_URL_CHARACTERS]}…"


def _subject(outcome: Outcome) -> str:
    result = "published" if outcome.image else "could not be published"
    return f"Image {result} ({outcome.request_id})"


def _string(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}

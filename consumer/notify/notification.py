"""The notification of an outcome, in a form for each protocol. Pure.

Queues and webhooks get JSON (SNS's `default`); email and SMS get a sentence.
"""

from dataclasses import asdict
from typing import Any

import orjson

from consumer.notify.outcome import Outcome
from core.dynamodb.schema import camel_items
from core.model.rendition import Rendition

SUBJECT_LIMIT = 100
"""Longest subject of an email, in characters (SNS limit)."""


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
    return f"Your image could not be published: {reason}. URL: {outcome.url}"


def _subject(outcome: Outcome) -> str:
    result = "published" if outcome.image else "could not be published"
    return f"Image {result} ({outcome.request_id})"


def _string(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}

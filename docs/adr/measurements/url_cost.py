"""List price of the calls and rows of an image by the length of its URL (ADR 19).

    PYTHONPATH=. python docs/adr/measurements/url_cost.py

A row of DynamoDB is written in units of 1 KB, and each write of a row costs its whole size. A call to SQS or SNS is
charged for each 64 KB. Batches are full here.
"""

import math
import uuid

from consumer.notify.notification import entry_bytes, notification_entry
from consumer.notify.outcome import outcome_for
from core.aws.batch import MAX_BATCH, MAX_BATCH_BYTES
from core.dynamodb.schema import image_item, new_request_item, number, string
from core.model.image import ImageMetadata, ImageRecord, Provenance, image_id_of
from core.model.message import first_message
from core.model.request import new_request
from loadtest.bench.benchmarks.prices import (
    FAIR_QUEUE_REQUEST,
    MILLION,
    SNS_REQUEST,
    SQS_REQUEST,
    WRITE_UNIT,
    Rows,
    item_bytes,
    write_units,
)

CHARGED_BYTES = 64 * 1_024
NOW = 1_790_000_000_000
METADATA = ImageMetadata(
    *("JPEG", "image/jpeg", 4_000, 3_000, "RGB", 1, 150_000, "a" * 64, "a" * 64, "0" * 16),
    *("#336699", "2024-05-06T07:08:09", "Canon EOS 5D", False),
)


def charge(size: int) -> float:
    """Return the charged calls for one message of `size` bytes in a full batch."""
    messages = min(MAX_BATCH, MAX_BATCH_BYTES // size)
    return math.ceil(messages * size / CHARGED_BYTES) / messages


def price(length: int) -> str:
    request = new_request(
        request_id=str(uuid.UUID(int=1)),
        customer_id="customer-1",
        url="https://e.example/".ljust(length, "a"),
        labels={},
        now=NOW,
    )
    image_id = image_id_of(request.request_id)
    record = ImageRecord(
        image_id,
        request.request_id,
        request.customer_id,
        "s3://bucket/" + "k" * 110,
        NOW,
        METADATA,
        Provenance(),
    )
    ended = new_request_item(request, shards=8) | {
        "imageId": string(image_id),
        "expiresAt": number(NOW),
    }
    rows = Rows(write_units(item_bytes(ended)), write_units(item_bytes(image_item(record))))
    message = first_message(request)
    body = len(message.encode())
    notification = entry_bytes(
        notification_entry(outcome_for(message, image=record), "https://cdn.example/")
    )
    dynamodb = rows.units * WRITE_UNIT * MILLION
    # A send and a receive have the body, a delete has not.
    sqs = (2 * charge(body) + charge(1)) * (SQS_REQUEST + FAIR_QUEUE_REQUEST) * MILLION
    sns = charge(notification) * SNS_REQUEST * MILLION
    return (
        f"| {length:,} | {rows.request:.0f} | {rows.units:.0f} | {dynamodb:.2f} | {sqs:.2f} | {sns:.2f} "
        f"| {dynamodb + sqs + sns:.2f} |"
    )


HEAD = """\
| bytes of the URL | units per write of the row | units per image | DynamoDB | SQS | SNS | together |
|---|---|---|---|---|---|---|"""


def main() -> None:
    lengths = (100, 500, 1_000, 2_048, 2_600, 4_096, 8_190)
    print("\n".join([HEAD, *map(price, lengths)]))  # noqa: T201 - a report


main()

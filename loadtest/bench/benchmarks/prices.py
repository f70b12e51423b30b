"""AWS list prices, and the price of a number of calls.

List prices of us-east-1, on-demand tables, without free tiers and discounts, as published in November 2026:
aws.amazon.com/dynamodb/pricing/on-demand, /sqs/pricing, /sns/pricing, /s3/pricing. Storage, traffic and logs are
excluded, because they do not depend on the number of calls.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MILLION = 1_000_000

WRITE_UNIT = 0.625 / MILLION
"""USD per write of up to 1 KB."""
READ_UNIT = 0.125 / MILLION
"""USD per strongly consistent read of up to 4 KB. An eventually consistent read costs half."""
SQS_REQUEST = 0.40 / MILLION
"""USD per call to a standard queue of up to 64 KB, batch or not."""
FAIR_QUEUE_REQUEST = 0.10 / MILLION
"""USD more per call for messages with a MessageGroupId. It is counted for every call: sends, receives and deletes."""
SNS_REQUEST = 0.50 / MILLION
"""USD per Publish or PublishBatch of up to 64 KB. Deliveries to SQS are free."""
S3_PUT = 0.005 / 1_000

_WRITE_UNIT_BYTES = 1_024
_MAP_OVERHEAD_BYTES = 3
_ELEMENT_OVERHEAD_BYTES = 1


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Return the size of a typed item (DynamoDB Developer Guide, "DynamoDB item sizes and formats")."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            digits = len(content.lstrip("-").strip("0.").replace(".", ""))
            return math.ceil(digits / 2) + 1
        case "M":
            entries = len(content) * _ELEMENT_OVERHEAD_BYTES
            return _MAP_OVERHEAD_BYTES + entries + item_bytes(content)
        case "BOOL":
            return 1
    raise ValueError(f"no size rule for attribute type {kind}")


def write_units(size: int) -> int:
    return math.ceil(size / _WRITE_UNIT_BYTES)


@dataclass(frozen=True, slots=True)
class Rows:
    """Mean write units of one image: its request row, written twice, and its image row.

    `index` is what the insert writes to indexes. Completion writes none: byCustomer holds only keys, and byFailure only
    failures.
    """

    request: float
    record: float
    index: float = 1.0

    @property
    def units(self) -> float:
        return 2 * self.request + self.index + self.record


def per_million(calls: Mapping[str, float], rows: Rows) -> dict[str, float]:
    """Return USD per million images by service, from the calls per image by operation and the rows per image."""
    by_service: dict[str, float] = {"dynamodb": rows.units * WRITE_UNIT * MILLION}
    units = {"sqs": SQS_REQUEST + FAIR_QUEUE_REQUEST, "sns": SNS_REQUEST, "s3": S3_PUT}
    for operation, count in calls.items():
        service = operation.partition(":")[0]
        if service in units:
            cost = count * units[service] * MILLION
            by_service[service] = by_service.get(service, 0.0) + cost
    return by_service


ONE_CALL_PER_STEP = {
    "dynamodb:PutItem": 2.0,
    "dynamodb:UpdateItem": 1.0,
    "sqs:SendMessage": 1.0,
    "sqs:ReceiveMessage": 1.0,
    "sqs:DeleteMessage": 1.0,
    "s3:PutObject": 1.0,
    "sns:Publish": 1.0,
}
"""The first design: eight calls per image, none batched."""

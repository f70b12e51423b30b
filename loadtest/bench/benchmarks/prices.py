"""What AWS charges, and what a run would have cost there. Pure.

List prices of us-east-1, on-demand tables, without free tiers and discounts, as published in November 2026:
aws.amazon.com/dynamodb/pricing/on-demand, /sqs/pricing, /sns/pricing, /s3/pricing. Storage, traffic and logs are not
in it: they do not depend on how many calls are made.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MILLION = 1_000_000

WRITE_UNIT = 0.625 / MILLION
"""USD for one write of up to 1 KB."""
READ_UNIT = 0.125 / MILLION
"""USD for one strongly consistent read of up to 4 KB; an eventually consistent one is half a unit."""
SQS_REQUEST = 0.40 / MILLION
"""USD for one call of any kind to a standard queue, batches too, of up to 64 KB."""
SNS_REQUEST = 0.50 / MILLION
"""USD for one Publish or PublishBatch of up to 64 KB. Deliveries to SQS are free."""
S3_PUT = 0.005 / 1_000

_WRITE_UNIT_BYTES = 1_024
_MAP_OVERHEAD_BYTES = 3
_ELEMENT_OVERHEAD_BYTES = 1


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """Size of a typed item by DynamoDB's rules (Developer Guide, "DynamoDB item sizes and formats")."""
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
    raise ValueError(f"no rule for {kind}")


def write_units(size: int) -> int:
    return math.ceil(size / _WRITE_UNIT_BYTES)


@dataclass(frozen=True, slots=True)
class Rows:
    """Mean write units of what one image writes: its request, inserted and completed, and its record.

    `index` is what its insert writes to indexes; completing changes none (byCustomer holds keys only, byFailure nothing
    but failures).
    """

    request: float
    record: float
    index: float = 1.0

    @property
    def units(self) -> float:
        return 2 * self.request + self.index + self.record


def per_million(calls: Mapping[str, float], rows: Rows) -> dict[str, float]:
    """USD for a million images by service, given the calls an image by operation and the rows it writes."""
    by_service: dict[str, float] = {"dynamodb": rows.units * WRITE_UNIT * MILLION}
    units = {"sqs": SQS_REQUEST, "sns": SNS_REQUEST, "s3": S3_PUT}
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
"""The design as first drawn: eight calls an image."""

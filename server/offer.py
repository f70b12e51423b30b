"""From a submit that keeps to the contract to the request that it offers."""

import os
from collections.abc import Iterator

from core.clock import now_ms
from core.request import ImageRequest, new_request
from server.validation import ValidSubmit

_IDS_AT_ONCE = 256


def offered_request(valid: ValidSubmit) -> ImageRequest:
    """A request as of now, under the caller's id or a new one."""
    return new_request(
        request_id=valid.request_id or next(_IDS),
        customer_id=valid.customer_id,
        url=valid.url,
        labels=valid.labels,
        now=now_ms(),
    )


def _new_ids() -> Iterator[str]:
    """Random UUIDs (RFC 9562, version 4): version and variant take the place of six of 128 random bits.

    As from uuid.uuid4, whose system call and UUID for each id cost four times as much.
    """
    while True:
        digits = os.urandom(16 * _IDS_AT_ONCE).hex()
        for start in range(0, len(digits), 32):
            one = digits[start : start + 32]
            variant = "89ab"[int(one[16], 16) & 3]
            yield f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{variant}{one[17:20]}-{one[20:]}"


_IDS = _new_ids()

"""From a submit that keeps to the contract to the request that it offers."""

import uuid

from core.clock import now_ms
from core.request import ImageRequest, new_request
from server.validation import ValidSubmit


def offered_request(valid: ValidSubmit) -> ImageRequest:
    """A request as of now, under the caller's id or a new one."""
    return new_request(
        request_id=valid.request_id or str(uuid.uuid4()),
        customer_id=valid.customer_id,
        url=valid.url,
        labels=valid.labels,
        now=now_ms(),
    )

"""Completed requests as the cache stores them."""

from dataclasses import replace

from core.model.image import image_id_of
from core.model.request import State, new_request
from core.redis.codec import CompletedRequest
from core.runtime.clock import now_ms
from harness.outcomes import image_record


def completed(request_id: str) -> CompletedRequest:
    pending = new_request(
        request_id=request_id, customer_id="acme", url="u", labels={}, now=now_ms()
    )
    request = replace(pending, state=State.COMPLETED, revision=2, image_id=image_id_of(request_id))
    return CompletedRequest(request, image_record(request_id))

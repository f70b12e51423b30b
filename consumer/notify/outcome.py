"""How a request ended: what the customer is told, and what the dead letter says."""

import json
from dataclasses import asdict, dataclass

from core.model.image import ImageRecord
from core.model.message import ImageMessage, decode_members
from core.model.request import Failure, ImageRequest, State, next_revision, notification_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """`revision` is that of the terminal state. Exactly one of image and failure is set."""

    request_id: str
    customer_id: str
    url: str
    revision: int
    image: ImageRecord | None = None
    failure: Failure | None = None

    @property
    def state(self) -> State:
        return State.COMPLETED if self.image else State.FAILED

    @property
    def notification_id(self) -> str:
        return notification_id(self.request_id, self.revision)


def outcome_for(
    message: ImageMessage, *, image: ImageRecord | None = None, failure: Failure | None = None
) -> Outcome:
    """The outcome of the request that `message` asked for, as it was just written."""
    return Outcome(
        request_id=message.request_id,
        customer_id=message.customer_id,
        url=message.url,
        revision=next_revision(message.revision),
        image=image,
        failure=failure,
    )


def outcome_of(request: ImageRequest, image: ImageRecord | None) -> Outcome:
    """The outcome of a request that is terminal already; `image` is its record where it has one."""
    return Outcome(
        request_id=request.request_id,
        customer_id=request.customer_id,
        url=request.origin_url,
        revision=request.revision,
        image=image if request.state is State.COMPLETED else None,
        failure=request.failure,
    )


@dataclass(frozen=True, slots=True)
class FailedRequestMessage:
    """A FAILED request in the dead-letter queue. `revision` is that of the FAILED state."""

    request_id: str
    customer_id: str
    url: str
    revision: int
    failure_code: str
    failure_message: str

    def encode(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


def failed_request_message_of(outcome: Outcome, failure: Failure) -> FailedRequestMessage:
    return FailedRequestMessage(
        request_id=outcome.request_id,
        customer_id=outcome.customer_id,
        url=outcome.url,
        revision=outcome.revision,
        failure_code=failure.code,
        failure_message=failure.message,
    )


# Reading what the dead letters say.


def decode_failed_request_message(body: str) -> FailedRequestMessage:
    """Raises MalformedMessage for what is no letter of ours.

    Members that are not known are left out: consumers of a later version may have written it.
    """
    return decode_members(FailedRequestMessage, body)

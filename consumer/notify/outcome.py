"""The outcome of a request, and its message in the failed-requests queue. Pure."""

from dataclasses import dataclass

import orjson

from core.model.image import ImageRecord
from core.model.message import ImageMessage, decode_members
from core.model.rendition import Rendition
from core.model.request import Failure, ImageRequest, State, next_revision, notification_id


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended. `revision` is that of the terminal state. Exactly one of image and failure is set.

    `renditions` are those of the image.
    """

    request_id: str
    customer_id: str
    url: str
    revision: int
    image: ImageRecord | None = None
    failure: Failure | None = None
    renditions: tuple[Rendition, ...] = ()

    @property
    def state(self) -> State:
        return State.COMPLETED if self.image else State.FAILED

    @property
    def failure_code(self) -> str:
        """The code, or an empty string if the request is COMPLETED."""
        return self.failure.code if self.failure else ""

    @property
    def notification_id(self) -> str:
        return notification_id(self.request_id, self.revision)


def outcome_for(
    message: ImageMessage,
    *,
    image: ImageRecord | None = None,
    failure: Failure | None = None,
    renditions: tuple[Rendition, ...] = (),
) -> Outcome:
    """Return the outcome of a message's request, which was just written."""
    return Outcome(
        request_id=message.request_id,
        customer_id=message.customer_id,
        url=message.url,
        revision=next_revision(message.revision),
        image=image,
        failure=failure,
        renditions=renditions,
    )


def outcome_of(
    request: ImageRequest, image: ImageRecord | None, renditions: tuple[Rendition, ...] = ()
) -> Outcome:
    """Return the outcome of a request that has ended. `image` is its record, if it has one."""
    return Outcome(
        request_id=request.request_id,
        customer_id=request.customer_id,
        url=request.origin_url,
        revision=request.revision,
        image=image if request.state is State.COMPLETED else None,
        failure=request.failure,
        renditions=renditions if request.state is State.COMPLETED else (),
    )


@dataclass(frozen=True, slots=True)
class FailedRequestMessage:
    """A FAILED request in the failed-requests queue. `revision` is that of the FAILED state."""

    request_id: str
    customer_id: str
    url: str
    revision: int
    failure_code: str
    failure_message: str

    def encode(self) -> str:
        return orjson.dumps(self).decode()


def failed_request_message_of(outcome: Outcome, failure: Failure) -> FailedRequestMessage:
    return FailedRequestMessage(
        request_id=outcome.request_id,
        customer_id=outcome.customer_id,
        url=outcome.url,
        revision=outcome.revision,
        failure_code=failure.code,
        failure_message=failure.message,
    )


def decode_failed_request_message(body: str) -> FailedRequestMessage:
    """Decode a message of the failed-requests queue. Raises MalformedMessage.

    Unknown members are ignored: a worker of a later version may have written them.
    """
    return decode_members(FailedRequestMessage, body)

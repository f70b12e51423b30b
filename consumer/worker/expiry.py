"""The time after which the URL of a request must not be fetched any more. Pure.

Servers store the caller's time, and each consumer compares it with its own clock. So it is as exact as the clocks of
the caller and the consumer agree.
"""

from consumer.worker.retry_policy import Decision, Fail, Requeue
from core.errors import Expired
from core.model.message import ImageMessage
from core.model.request import ImageRequest


def not_after_of(message: ImageMessage, request: ImageRequest | None) -> int:
    """Return the time in milliseconds since the epoch, 0 for no limit. `request` is the row, if it was read.

    A message that a worker of an earlier version requeued has lost the time; the row has it.
    """
    return message.not_after if request is None else request.not_after


def is_expired(not_after: int, now: int) -> bool:
    """Return whether no fetch may begin at `now`, in milliseconds since the epoch."""
    return bool(not_after) and now > not_after


def limit_requeue(decision: Decision, not_after: int, now: int) -> Decision:
    """Return a failure in place of a requeue whose delay ends after `not_after`: no attempt could follow."""
    match decision:
        case Requeue(delay, attempts, _) if is_expired(not_after, now + int(delay * 1_000)):
            return Fail(Expired(), attempts)
        case _:
            return decision

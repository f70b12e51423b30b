"""Ends a request as FAILED, and notifies of an outcome, for the first time or again."""

import time

import structlog

from consumer.metrics import observe_end, observe_step
from consumer.notify.notifier import Notifier
from consumer.notify.outcome import Outcome, outcome_for, outcome_of
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import ImageFailure
from core.model.message import ImageMessage
from core.model.request import Failure, ImageRequest, MessageStatus, State, message_status
from core.runtime.clock import now_ms

_log = structlog.get_logger()


async def notify(notifier: Notifier, outcome: Outcome) -> None:
    """Notify of an outcome that was just written, and measure it as a step of the pipeline."""
    _log.debug("request ended", request_id=outcome.request_id, state=outcome.state)
    started = time.perf_counter()
    await notifier.notify(outcome)
    observe_step("notify", started)


async def fail_request(
    tables: Tables, notifier: Notifier, message: ImageMessage, failure: ImageFailure, attempts: int
) -> bool:
    """End a request as FAILED and notify. Returns False if it is not PENDING at the message's revision any more.

    Then another process has ended or reopened it; see `renotify_if_ended`.
    Raises Overloaded, DependencyUnavailable or RequestRejected.
    """
    end, now = Failure(failure.code, str(failure), attempts), now_ms()
    statement = tables.statements.fail(
        message.request_id, message.revision, customer_id=message.customer_id, failure=end, now=now
    )
    try:
        await tables.write(statement)
    except ConditionNotMet:
        await renotify_if_ended(tables, notifier, message)
        return False
    observe_end(
        State.FAILED,
        failure.code,
        customer_id=message.customer_id,
        pending_since=message.pending_since,
        now=now,
    )
    await notify(notifier, outcome_for(message, failure=end))
    return True


async def renotify_if_ended(tables: Tables, notifier: Notifier, message: ImageMessage) -> None:
    """Notify again if another process ended the request at this message's revision; else do nothing."""
    request = await tables.read_request(message.request_id)
    if request is not None and message_status(request, message.revision) is MessageStatus.ENDED:
        await renotify(tables, notifier, request)


async def renotify(tables: Tables, notifier: Notifier, request: ImageRequest) -> None:
    """Notify again of how a request ended, under the same notification id.

    The process that ended it may have died before it notified anyone.
    """
    image = await tables.read_image_of(request) if request.image_id else None
    await notifier.notify(outcome_of(request, image))

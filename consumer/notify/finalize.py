"""Ends a request as FAILED, and notifies of an outcome, for the first time or again.

It also keeps the row of a FAILED request that has an image record. A worker inserts the record before it ends the
request, so it may lose against another worker, or against reconcile, that ends the request as FAILED. While the row
exists, nobody is shown that image (core.model.image.is_published). With RETENTION_DAYS the row would expire, and the
image would look like that of an expired COMPLETED request.
"""

import asyncio
import contextlib

from consumer.metrics import observe_end
from consumer.notify.notifier import Notifier
from consumer.notify.outcome import Outcome, outcome_for, outcome_of
from consumer.run import Run
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import ImageFailure
from core.model.message import ImageMessage
from core.model.request import Failure, ImageRequest, MessageStatus, State, message_status
from core.runtime.clock import now_ms


async def notify(notifier: Notifier, outcome: Outcome, run: Run) -> None:
    """Count an outcome that was just written, notify of it, and log it. It is logged even if the notification fails."""
    now = now_ms()
    observe_end(
        outcome.state,
        outcome.failure_code,
        customer_id=outcome.customer_id,
        lane=run.lane,
        pending_since=run.pending_since,
        now=now,
    )
    try:
        with run.step("notify"):
            await notifier.notify(outcome)
    finally:
        notifier.request_log.ended(outcome, run, now=now)


async def fail_request(
    tables: Tables,
    notifier: Notifier,
    message: ImageMessage,
    failure: ImageFailure,
    run: Run,
    *,
    first: bool = False,
) -> bool:
    """End a request as FAILED and notify. Returns False if it is not PENDING at the message's revision any more.

    Then another process has ended or reopened it; see `renotify_if_ended`. `first`: whether no earlier run can have
    inserted an image record (ReceivedMessage.first). Raises Overloaded, DependencyUnavailable or RequestRejected.
    """
    end = Failure(failure.code, str(failure), run.attempts)
    statement = tables.statements.fail(
        message.request_id,
        message.revision,
        customer_id=message.customer_id,
        failure=end,
        now=now_ms(),
    )
    try:
        await tables.write(statement)
    except ConditionNotMet:
        await renotify_if_ended(tables, notifier, message)
        return False
    await notify(notifier, outcome_for(message, failure=end), run)
    # If this process dies before, or AWS fails, the message is received again, and `renotify` does the same.
    if not first and tables.statements.retention_s:
        request = await tables.read_request(message.request_id)
        if request is not None:
            await keep_if_orphaned(tables, request)
    return True


async def renotify_if_ended(tables: Tables, notifier: Notifier, message: ImageMessage) -> None:
    """Notify again if another process ended the request at this message's revision.

    For a worker that has lost the end of a request, and may have inserted an image record.
    """
    request = await tables.read_request(message.request_id)
    if request is None:
        return
    if message_status(request, message.revision) is MessageStatus.ENDED:
        await renotify(tables, notifier, request)
    else:
        await keep_if_orphaned(tables, request)


async def renotify(tables: Tables, notifier: Notifier, request: ImageRequest) -> None:
    """Notify again of how a request ended, under the same notification id.

    The process that ended it may have died before it notified anyone.
    """
    await keep_if_orphaned(tables, request)
    if request.image_id is None:
        outcome = outcome_of(request, None)
    else:
        image, renditions = await asyncio.gather(
            tables.read_image_of(request), tables.read_renditions(request.image_id)
        )
        outcome = outcome_of(request, image, renditions)
    await notifier.notify(outcome)
    notifier.request_log.notified_again(outcome)


async def keep_if_orphaned(tables: Tables, request: ImageRequest) -> None:
    """Remove the expiry of a FAILED row if the request has an image record. Do nothing for other rows.

    It costs a read if the row expires, and a write if there is a record. Raises as `fail_request`.
    """
    if request.state is not State.FAILED or request.expires_at is None:
        return
    if await tables.read_image_of(request) is not None:
        # If the condition does not hold, the request was reopened. Then its next run completes it with the record.
        with contextlib.suppress(ConditionNotMet):
            await tables.write(tables.statements.keep_failed(request))

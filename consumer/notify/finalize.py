"""Ending a request as FAILED by whoever finds that it cannot succeed, and telling of an end again."""

from consumer.metrics import observe_end
from consumer.notify.notifier import Notifier
from consumer.notify.outcome import Outcome, outcome_for, outcome_of
from core.dynamodb.tables import Tables
from core.errors import ImageFailure
from core.model.message import ImageMessage
from core.model.request import Failure, ImageRequest, State
from core.runtime.clock import now_ms


async def fail_request(
    tables: Tables, message: ImageMessage, failure: ImageFailure, attempts: int
) -> Outcome:
    """Raises ConditionNotMet where the request is no longer PENDING at the message's revision."""
    end, now = Failure(failure.code, str(failure), attempts), now_ms()
    await tables.write(
        tables.statements.fail(
            message.request_id,
            message.revision,
            customer_id=message.customer_id,
            failure=end,
            now=now,
        )
    )
    observe_end(State.FAILED, failure.code, pending_since=message.pending_since, now=now)
    return outcome_for(message, failure=end)


async def retell(tables: Tables, notifier: Notifier, request: ImageRequest) -> None:
    """Tell how a request ended, under the same id: whoever ended it may have died before telling anyone."""
    image = await tables.read_image_of(request) if request.image_id else None
    await notifier.tell(outcome_of(request, image))

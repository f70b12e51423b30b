"""The messages in the DLQ, as reconcile processes them: each goes back to the queue once, then its request fails.

A message reaches the DLQ after MaxReceiveCount receives without an ack. The usual cause is ours: a release whose
consumers die before they begin a run, or an outage. So a message goes back once, with the mark `from_dlq`, and only a
message that returns with its mark fails its request, as UNDELIVERABLE. It goes back as a suspected message: its image
is decoded alone, and the deaths that its row has counted still count.

The order is claim, send, delete. A process that dies in between leaves the message in the DLQ, and the next run sends
it again. The claim tells the scan of orphaned requests that the request has a message.

A message of CreateRenditions is about no request, so there is nothing to claim. It goes back once too. If it returns,
its renditions are recorded as failed with UNDELIVERABLE, so that a client that polls the image sees the failure.

A lost mark costs one more round. A consumer of a version without the mark drops it when it requeues the message. Each
round then needs such a consumer that lives to requeue the message, MaxReceiveCount more receives that end without a
requeue, and a run of reconcile. Each round is a claim, and a request is failed after --max-claims of them, with the
mark or without. A touch resets the claims, so a consumer of the old version that also reads the row ten minutes or
more after the claim allows further rounds: that number is bounded only by the end of the rollout. A poison message is
never in such a loop, because its row counts the processes that died of it.
"""

import asyncio
from dataclasses import dataclass, replace
from enum import Enum, auto

import structlog

from consumer.clients import Clients
from consumer.jobs.queue_reader import open_queue_reader
from consumer.notify.finalize import fail_request, renotify_if_ended
from consumer.run import Run
from core.aws.sqs import IncomingMessage, SqsQueue
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import MalformedRow, RequestRejected, Undeliverable
from core.model.message import ImageMessage, MalformedMessage, decode_message
from core.model.rendition import failed_rendition, split_names
from core.model.request import ImageRequest, MessageStatus, message_status
from core.runtime.clock import now_ms

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DlqStats:
    sent_back: int = 0
    failed: int = 0

    def __add__(self, other: "DlqStats") -> "DlqStats":
        return DlqStats(self.sent_back + other.sent_back, self.failed + other.failed)


class DlqAction(Enum):
    """The action of reconcile on a message in the DLQ, before it deletes the message."""

    SEND_BACK = auto()
    FAIL = auto()
    NOTIFY_AGAIN = auto()
    """The request is not PENDING at the message's revision. If that ended it, its customer is notified again."""


def dlq_action(
    message: ImageMessage, request: ImageRequest | None, *, max_claims: int
) -> DlqAction:
    """Decide about a message and the row of its request. Pure."""
    if (
        request is None
        # The message has outlived its request, and another customer uses the id.
        or request.customer_id != message.customer_id
        or message_status(request, message.revision) is not MessageStatus.OPEN
    ):
        return DlqAction.NOTIFY_AGAIN
    if message.from_dlq or request.claims >= max_claims:
        return DlqAction.FAIL
    return DlqAction.SEND_BACK


async def process_dlq(clients: Clients, dlq_url: str, *, max_claims: int) -> DlqStats:
    """Process the whole DLQ. Messages that cannot be read, or that AWS rejects, stay there.

    Raises DependencyUnavailable or Overloaded.
    """
    stats = DlqStats()
    async with open_queue_reader(SqsQueue(clients.aws.http.sqs, dlq_url)) as reader:
        async for messages in reader.batches():
            results = await asyncio.gather(
                *(_process_or_leave(clients, message, max_claims) for message in messages)
            )
            for result in results:
                stats += result or DlqStats()
            pairs = zip(messages, results, strict=True)
            done = [each for each, result in pairs if result is not None]
            await reader.delete(done)
    return stats


async def _process_or_leave(
    clients: Clients, incoming: IncomingMessage, max_claims: int
) -> DlqStats | None:
    """Return the result for a message that can be deleted, or None for one that stays in the DLQ."""
    try:
        message = decode_message(incoming.body)
    except MalformedMessage:
        _log.exception("malformed message left in the dlq", body=incoming.body[:200])
        return None
    try:
        return await _process(clients, message, max_claims)
    except (ConditionNotMet, MalformedRow, RequestRejected) as error:
        # ConditionNotMet: a worker, or another reconcile, has just written the row. The next run decides again.
        _log.error("message left in the dlq", request_id=message.request_id, error=repr(error))
        return None


async def claim_request(tables: Tables, request: ImageRequest) -> None:
    """Claim a request for reconcile. Raises ConditionNotMet if its row was written since it was read.

    If only the answer to the write was lost, its repetition fails the condition, and the row has this claim.
    """
    now = now_ms()
    try:
        await tables.write(tables.statements.claim(request, now=now))
    except ConditionNotMet:
        claimed = replace(request, claims=request.claims + 1, updated_at=now)
        if await tables.read_request(request.request_id) != claimed:
            raise


async def _process(clients: Clients, message: ImageMessage, max_claims: int) -> DlqStats:
    """Process a message. Raises ConditionNotMet if its row was written since it was read."""
    if message.creates_renditions:
        return await _process_renditions(clients, message)
    tables, notifier = clients.tables, clients.notifier
    request = await tables.read_request(message.request_id)
    match dlq_action(message, request, max_claims=max_claims):
        case DlqAction.SEND_BACK if request is not None:
            await claim_request(tables, request)
            await clients.backlog_queue.send(
                message.sent_back().encode(), group=message.customer_id
            )
            _log.warning("message sent back from the dlq", request_id=message.request_id)
            return DlqStats(sent_back=1)
        case DlqAction.FAIL:
            run = Run.of(message)
            failed = await fail_request(tables, notifier, message, Undeliverable(), run)
            return DlqStats(failed=int(failed))
        case _:
            await renotify_if_ended(tables, notifier, message)
            return DlqStats()


async def _process_renditions(clients: Clients, message: ImageMessage) -> DlqStats:
    """Process a message of CreateRenditions. A failure replaces no rendition that another run has made."""
    if not message.from_dlq:
        await clients.backlog_queue.send(message.sent_back().encode(), group=message.customer_id)
        _log.warning("message sent back from the dlq", image_id=message.image_id)
        return DlqStats(sent_back=1)
    if await clients.tables.read_image_by_id(message.image_id) is not None:
        failed = [
            failed_rendition(name, Undeliverable()) for name in split_names(message.renditions)
        ]
        await clients.tables.add_renditions(message.image_id, failed)
    _log.error("renditions failed", image_id=message.image_id, presets=message.renditions)
    return DlqStats()

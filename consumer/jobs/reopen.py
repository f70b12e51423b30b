"""Reopening FAILED requests: FAILED → PENDING, one revision up, then the message that says so.

Cut short between the two, a request is PENDING and nobody processes it: reopened again at the same revision, it is only
sent; and reconcile takes up what nobody reopens again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consumer.clients import Clients
from consumer.notify.outcome import FailedRequestMessage, failed_request_message_of, outcome_of
from core.dynamodb.tables import ConditionNotMet
from core.errors import FailureCode, RequestRejected
from core.model.message import ImageMessage
from core.model.request import FIRST_REVISION, ImageRequest, State, next_revision
from core.resilience.retry import retry_unavailable
from core.runtime.clock import now_ms

_GRACE_S = 5.0
"""How long what is under way may take once the command is told to end, in seconds."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Tally:
    """What one redrive did. All that was looked at is one of the others."""

    looked_at: int = 0
    reopened: int = 0
    other_code: int = 0
    moved_on: int = 0
    """Not FAILED any more, or not at that revision."""
    at_fault: int = 0
    """Letters that cannot be read, and requests whose message AWS would not take for what it says."""

    def __str__(self) -> str:
        told = (
            f"{self.looked_at} looked at, {self.reopened} reopened, {self.other_code} of another code, "
            f"{self.moved_on} not FAILED any more"
        )
        return f"{told}, {self.at_fault} at fault, see the log" if self.at_fault else told

    def passed_over(self, *, other_code: int = 0, moved_on: int = 0, at_fault: int = 0) -> None:
        """So many were looked at, and nothing was done about them."""
        self.looked_at += other_code + moved_on + at_fault
        self.other_code += other_code
        self.moved_on += moved_on
        self.at_fault += at_fault


class RequestReopener:
    """`failed_with` is None for any code."""

    def __init__(self, clients: Clients, failed_with: FailureCode | None, tally: Tally) -> None:
        self._clients = clients
        self._failed_with = failed_with
        self._tally = tally

    async def reopen_all(self, failures: Sequence[FailedRequestMessage]) -> list[bool]:
        """Whether each is dealt with, so that its letter can go. Raises DependencyUnavailable, after trying them all.

        What is under way is finished when the caller is cancelled, for up to a few seconds.
        """
        work = asyncio.gather(*map(self._take, failures), return_exceptions=True)
        try:
            taken = await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work}, timeout=_GRACE_S)
            work.cancel()
            raise
        for each in taken:
            if isinstance(each, BaseException):
                raise each
        return [each is True for each in taken]

    async def _take(self, failed: FailedRequestMessage) -> bool:
        if self._failed_with not in (None, failed.failure_code):
            self._tally.passed_over(other_code=1)
            return False
        try:
            reopened = await retry_unavailable("reopen request", reopen, self._clients, failed)
        except RequestRejected as rejection:
            self._tally.passed_over(at_fault=1)
            _log.error("cannot be sent", request_id=failed.request_id, error=str(rejection))
            return False
        if reopened:
            self._tally.looked_at += 1
            self._tally.reopened += 1
        else:
            self._tally.passed_over(moved_on=1)
        return True


async def reopen(clients: Clients, failed: FailedRequestMessage) -> bool:
    """Reopen one request and send it; False where it has moved on since, and there is nothing to do."""
    pending_since = now_ms()
    try:
        # A letter may outlive its row, and another request have its id by now.
        await clients.tables.reopen(
            failed.request_id,
            failed.revision,
            now=pending_since,
            customer_id=failed.customer_id,
            url=failed.url,
        )
    except ConditionNotMet:
        request = await clients.tables.read_request(failed.request_id)
        reopened_before = (
            request is not None
            and request.state is State.PENDING
            and request.revision == next_revision(failed.revision)
            and (request.customer_id, request.origin_url) == (failed.customer_id, failed.url)
        )
        if not reopened_before:
            return False
        pending_since = 0
    message = ImageMessage(
        request_id=failed.request_id,
        customer_id=failed.customer_id,
        url=failed.url,
        revision=next_revision(failed.revision),
        resent=True,
        pending_since=pending_since,
    )
    await clients.queue.send(message.encode())
    return True


def failure_of(request: ImageRequest) -> FailedRequestMessage | None:
    """What its dead letter says; None where it is not FAILED.

    Of one that is PENDING again, as of one that FAILED before: nobody knows whether the message was sent.
    """
    if request.failure is not None:
        return failed_request_message_of(outcome_of(request, None), request.failure)
    if request.state is State.PENDING and request.revision > FIRST_REVISION:
        return FailedRequestMessage(
            request_id=request.request_id,
            customer_id=request.customer_id,
            url=request.origin_url,
            revision=request.revision - 1,
            failure_code="",
            failure_message="",
        )
    return None

"""Reopens FAILED requests: FAILED → PENDING at the next revision, then the message for that revision.

The outcome of the failed revision is published first, unless it is known to be published. After the reopening no
process would publish it: the message of that revision is then stale, and is deleted.

If the process dies between the two writes, the request is PENDING and has no message. A second reopen at the same
revision then only sends the message. Otherwise `reconcile` sends it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from consumer.clients import Clients
from consumer.notify.outcome import (
    FailedRequestMessage,
    Outcome,
    failed_request_message_of,
    outcome_of,
)
from core.dynamodb.tables import ConditionNotMet
from core.errors import FailureCode, RequestRejected
from core.model.message import ImageMessage
from core.model.request import FIRST_REVISION, ImageRequest, State, next_revision
from core.resilience.retry import retry_unavailable
from core.runtime.clock import now_ms

_CANCEL_GRACE_S = 5.0
"""Time in which a cancelled batch may finish."""

_log = structlog.get_logger()


@dataclass(slots=True)
class RetryStats:
    """Result of one run. `examined` is the sum of the others, except `unknown`."""

    examined: int = 0
    reopened: int = 0
    other_code: int = 0
    no_longer_failed: int = 0
    """Requests that are not FAILED any more, or that FAILED at another revision."""
    errors: int = 0
    """Messages that cannot be read, and requests whose message or notification AWS rejected."""
    unknown: int = 0
    """Ids that belong to no readable request."""

    def __str__(self) -> str:
        text = (
            f"{self.examined} examined, {self.reopened} reopened, {self.other_code} with another failure code, "
            f"{self.no_longer_failed} no longer FAILED"
        )
        return f"{text}, {self.errors} with errors (see the log)" if self.errors else text

    def skip(self, *, other_code: int = 0, no_longer_failed: int = 0, errors: int = 0) -> None:
        """Count requests that were examined and left as they are."""
        self.examined += other_code + no_longer_failed + errors
        self.other_code += other_code
        self.no_longer_failed += no_longer_failed
        self.errors += errors


@dataclass(frozen=True, slots=True)
class Retry:
    """A failure to retry. `unpublished` is its outcome, unless it is known to be published."""

    failed: FailedRequestMessage
    unpublished: Outcome | None = None


class RequestReopener:
    """Reopens requests that failed with `failure_code`; None stands for any code."""

    def __init__(
        self, clients: Clients, failure_code: FailureCode | None, stats: RetryStats
    ) -> None:
        self._clients = clients
        self._failure_code = failure_code
        self._stats = stats

    async def reopen_all(self, retries: Sequence[Retry]) -> list[bool]:
        """Return for each failure whether it needs no further retry, so that its message can be deleted.

        Raises DependencyUnavailable after it has tried all. If the caller is cancelled, the requests in progress may
        finish for 5 seconds.
        """
        batch = asyncio.gather(*map(self._reopen, retries), return_exceptions=True)
        try:
            results = await asyncio.shield(batch)
        except asyncio.CancelledError:
            await asyncio.wait({batch}, timeout=_CANCEL_GRACE_S)
            batch.cancel()
            raise
        for each in results:
            if isinstance(each, BaseException):
                raise each
        return [each is True for each in results]

    async def _reopen(self, retry: Retry) -> bool:
        failed = retry.failed
        if self._failure_code not in (None, failed.failure_code):
            self._stats.skip(other_code=1)
            return False
        try:
            reopened = await retry_unavailable("reopen request", reopen, self._clients, retry)
        except RequestRejected as rejection:
            self._stats.skip(errors=1)
            _log.error("request not reopened", request_id=failed.request_id, error=str(rejection))
            return False
        if reopened:
            self._stats.examined += 1
            self._stats.reopened += 1
        else:
            self._stats.skip(no_longer_failed=1)
        return True


async def reopen(clients: Clients, retry: Retry) -> bool:
    """Publish the outcome if needed, then reopen the request and send its message.

    A repeated notification has the same id and content. Return False if the request has changed since it failed. Raises
    DependencyUnavailable, Overloaded or RequestRejected; a request whose outcome cannot be published stays FAILED.
    """
    failed = retry.failed
    if retry.unpublished is not None:
        await clients.notifier.publish(retry.unpublished)
    pending_since = now_ms()
    try:
        # Customer and URL are compared too: a message can outlive its row, and a later request can reuse the id.
        await clients.tables.reopen(
            failed.request_id,
            failed.revision,
            now=pending_since,
            customer_id=failed.customer_id,
            url=failed.url,
        )
    except ConditionNotMet:
        if not await _is_reopened(clients, failed):
            return False
    message = ImageMessage(
        request_id=failed.request_id,
        customer_id=failed.customer_id,
        url=failed.url,
        revision=next_revision(failed.revision),
        resent=True,
        pending_since=pending_since,
    )
    await clients.backlog_queue.send(message.encode(), group=message.customer_id)
    return True


async def _is_reopened(clients: Clients, failed: FailedRequestMessage) -> bool:
    """Return whether an earlier call has reopened the request, and may have died before it sent the message."""
    request = await clients.tables.read_request(failed.request_id)
    return (
        request is not None
        and request.state is State.PENDING
        and request.revision == next_revision(failed.revision)
        and (request.customer_id, request.origin_url) == (failed.customer_id, failed.url)
    )


def retry_of(request: ImageRequest) -> Retry | None:
    """Return the retry of a request, or None if it has not FAILED.

    A request that is PENDING after an earlier failure has one as well, because its message may not have been sent. Its
    outcome was published before it was reopened.
    """
    if request.failure is not None:
        outcome = outcome_of(request, None)
        return Retry(failed_request_message_of(outcome, request.failure), unpublished=outcome)
    if request.state is State.PENDING and request.revision > FIRST_REVISION:
        return Retry(
            FailedRequestMessage(
                request_id=request.request_id,
                customer_id=request.customer_id,
                url=request.origin_url,
                revision=request.revision - 1,
                failure_code="",
                failure_message="",
            )
        )
    return None

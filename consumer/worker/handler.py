"""One message from delivery to its end, whatever that is."""

import contextlib
import time
import uuid

import structlog

from consumer.metrics import observe_step
from consumer.notify.finalize import fail_request, retell
from consumer.notify.notifier import Notifier
from consumer.notify.outcome import Outcome
from consumer.worker.pipeline import Pipeline, RunDeferred, RunFailed
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.retry_policy import Fail, Requeue, RetryPolicy, Verdict
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import Crashed, DependencyUnavailable, ImageFailure, Overloaded, RequestRejected
from core.model.request import ImageRequest, MessageStatus, message_status
from core.runtime.clock import now_ms

_log = structlog.get_logger()

TOUCH_AFTER_S = 600
"""Seconds since a row was written after which it is touched when its message is received again. Reconcile waits for
longer than this and the longest delay of a message together: it never takes up a request whose message is alive."""


class MessageHandler:
    def __init__(
        self,
        *,
        inbox: ReceiveQueue,
        pipeline: Pipeline,
        tables: Tables,
        notifier: Notifier,
        retries: RetryPolicy,
        max_runs_alone: int,
    ) -> None:
        self._inbox = inbox
        self._pipeline = pipeline
        self._tables = tables
        self._notifier = notifier
        self._retries = retries
        self._max_runs_alone = max_runs_alone

    async def handle(self, delivery: ReceivedMessage) -> None:
        """Work on a message beside others. Raises DependencyUnavailable; the message is then still held."""
        if delivery.first or await self.open_request(delivery):
            await self.run(delivery)

    async def begin_alone(self, delivery: ReceivedMessage, request: ImageRequest) -> bool:
        """Count a suspect's run before it begins: if it kills the process, the count stands.

        False where it must not run: it has killed too often, or another process has taken it up.
        """
        if request.retry_count >= self._max_runs_alone:
            await self._fail(delivery, Crashed(), delivery.message.attempts)
            return False
        run_id = uuid.uuid4().hex
        statement = self._tables.statements.begin_alone(request, run_id=run_id)
        try:
            await self._tables.write(statement)
        except ConditionNotMet:
            now = await self._tables.read_request(request.request_id)
            if now is None or now.run_id != run_id:
                await self._inbox.give_back(delivery, reason="raced", delay=1)
                return False
        return True

    async def open_request(self, delivery: ReceivedMessage) -> ImageRequest | None:
        """The request, if there is still something to fetch; otherwise finish what an earlier run began."""
        message = delivery.message
        request = await self._tables.read_request(message.request_id)
        match message_status(request, message.revision):
            case MessageStatus.OPEN if request is not None:
                record = await self._tables.read_image_of(request)
                if record is None:
                    return await self._touched(delivery, request)
                try:
                    outcome = await self._pipeline.complete(message, record)
                except ConditionNotMet:
                    await self._settle_raced(delivery)
                else:
                    await self._conclude(delivery, outcome)
            case MessageStatus.ENDED if request is not None:
                await self._retell(delivery, request)
            case _:
                _log.info("stale message deleted", request_id=message.request_id)
                await self._inbox.finish(delivery)
        return None

    async def _touched(self, delivery: ReceivedMessage, request: ImageRequest) -> ImageRequest:
        """The request, after its row was told that its message is alive, if that is worth a write.

        A message that was given back after a run alone shows that the run killed nobody: its count is taken back.
        """
        now = now_ms()
        survived = bool(request.retry_count) and not delivery.suspect
        if not survived and now - request.updated_at < TOUCH_AFTER_S * 1000:
            return request
        retry_count = 0 if survived else request.retry_count
        with contextlib.suppress(ConditionNotMet):
            await self._tables.write(
                self._tables.statements.touch(request, retry_count=retry_count, now=now)
            )
        return request

    async def run(self, delivery: ReceivedMessage) -> None:
        try:
            outcome = await self._pipeline.run(delivery.message)
        except RunFailed as run:
            verdict = self._retries.judge(run.failure, attempts=run.attempts)
            await self._carry_out(delivery, verdict)
        except RunDeferred as busy:
            await self._carry_out(delivery, Requeue(busy.retry_after, busy.attempts, "host_busy"))
        except ConditionNotMet:
            await self._settle_raced(delivery)
        except (DependencyUnavailable, Overloaded, RequestRejected):
            raise
        except Exception:  # noqa: BLE001  whatever it is, the request must end
            _log.exception("unexpected fault", request_id=delivery.message.request_id)
            verdict = self._retries.judge_unexpected(attempts=delivery.message.attempts)
            await self._carry_out(delivery, verdict)
        else:
            await self._conclude(delivery, outcome)

    async def _carry_out(self, delivery: ReceivedMessage, verdict: Verdict) -> None:
        match verdict:
            case Requeue(delay, attempts, reason):
                await self._inbox.give_back(delivery, reason=reason, delay=delay, attempts=attempts)
            case Fail(failure, attempts):
                await self._fail(delivery, failure, attempts)

    async def _fail(self, delivery: ReceivedMessage, failure: ImageFailure, attempts: int) -> None:
        try:
            outcome = await fail_request(self._tables, delivery.message, failure, attempts)
        except ConditionNotMet:
            await self._settle_raced(delivery)
        else:
            await self._conclude(delivery, outcome)

    async def _settle_raced(self, delivery: ReceivedMessage) -> None:
        """The request was ended or reopened by another worker: tell its outcome, or leave it alone."""
        message = delivery.message
        request = await self._tables.read_request(message.request_id)
        if request is not None and message_status(request, message.revision) is MessageStatus.ENDED:
            await self._retell(delivery, request)
        else:
            await self._inbox.finish(delivery)

    async def _retell(self, delivery: ReceivedMessage, request: ImageRequest) -> None:
        """Another run ended this request and may have died before it told anyone: the same id again."""
        await retell(self._tables, self._notifier, request)
        await self._inbox.finish(delivery)

    async def _conclude(self, delivery: ReceivedMessage, outcome: Outcome) -> None:
        _log.debug("ended", request_id=outcome.request_id, state=outcome.state)
        started = time.perf_counter()
        await self._notifier.tell(outcome)
        observe_step("notify", started)
        await self._inbox.finish(delivery)

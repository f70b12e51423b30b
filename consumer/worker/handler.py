"""The message handler: takes one message from its receive to its acknowledgement or requeue."""

import contextlib

import structlog

from consumer.fetching.limits.host_customer import HostBusy
from consumer.metrics import ENDED
from consumer.notify.finalize import (
    fail_request,
    keep_if_orphaned,
    notify,
    renotify,
    renotify_if_ended,
)
from consumer.notify.notifier import Notifier
from consumer.run import Run
from consumer.sandbox.admission import DecodersBusy
from consumer.worker.journal import DeathCounter, IsolatedDecoding
from consumer.worker.pipeline import Pipeline
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.renditions import RenditionPublisher
from consumer.worker.retry_policy import (
    INTERNAL_REASON,
    Decision,
    Fail,
    Requeue,
    RetryPolicy,
    limit_requeue,
)
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import (
    Crashed,
    DependencyUnavailable,
    ImageFailure,
    Overloaded,
    RequestRejected,
    Undeliverable,
)
from core.model.image import ImageRecord
from core.model.message import pending_seconds
from core.model.rendition import split_names
from core.model.request import ImageRequest, MessageStatus, State, message_status
from core.runtime.clock import now_ms
from core.runtime.metrics import counter

_log = structlog.get_logger()

TOUCH_AFTER_S = 600
"""A received message touches its row if the row was written longer ago than this, in seconds. Reconcile waits longer
than this and the longest delay of a message together, so it never takes over a request whose message is alive."""


class MessageHandler:
    """`max_deaths`: isolated decodings of an image that ended with the death of a process, before it is CRASHED."""

    def __init__(
        self,
        *,
        queue: ReceiveQueue,
        pipeline: Pipeline,
        renditions: RenditionPublisher,
        tables: Tables,
        notifier: Notifier,
        retry_policy: RetryPolicy,
        deaths: DeathCounter,
        max_deaths: int,
    ) -> None:
        self._queue = queue
        self._pipeline = pipeline
        self._renditions = renditions
        self._tables = tables
        self._notifier = notifier
        self._retry_policy = retry_policy
        self._deaths = deaths
        self._max_deaths = max_deaths

    async def handle(self, message: ReceivedMessage) -> None:
        """Process a message beside others.

        Raises DependencyUnavailable, Overloaded or DecodersBusy; it is still held then.
        """
        if message.first:
            await self._process(message)
            return
        if message.suspected:
            # A process of this machine may have died of the image and not have been started again.
            await self._deaths.count()
        if request := await self._open_request(message):
            await self._process(message, request)

    async def _open_request(self, message: ReceivedMessage) -> ImageRequest | None:
        """Return the request if its image has to be fetched. Otherwise finish the work and return None."""
        if message.message.creates_renditions:
            await self._create_renditions(message)
            return None
        request = await self._tables.read_request(message.message.request_id)
        match message_status(request, message.message.revision):
            case MessageStatus.OPEN if request is not None:
                record = await self._tables.read_image_of(request)
                if record is not None:
                    await self._resume(message, request, record)
                elif request.retry_count >= self._max_deaths:
                    await self._fail(message, Crashed(), Run.of(message.message, message.lane))
                    return None
                else:
                    await self._keep_alive(request)
                    return request
            case MessageStatus.ENDED if message.needs_no_end:
                _log.info("copy deleted", request_id=message.message.request_id)
            case MessageStatus.ENDED if request is not None:
                if request.failure is not None and request.failure.code == Undeliverable.code:
                    # Only reconcile sets this code, and no metrics of it are scraped.
                    counter(ENDED, State.FAILED, Undeliverable.code).inc()
                await renotify(self._tables, self._notifier, request)
            case _:
                if request is not None:
                    await keep_if_orphaned(self._tables, request)
                _log.info("stale message deleted", request_id=message.message.request_id)
        await self._queue.ack(message)
        return None

    async def _resume(
        self, message: ReceivedMessage, request: ImageRequest, record: ImageRecord
    ) -> None:
        """Complete a request with the record of an earlier run, and notify."""
        run = Run.of(message.message, message.lane)
        isolation = self._isolation(message, request)
        try:
            outcome = await self._pipeline.resume(message.message, request, record, run, isolation)
        except ConditionNotMet:
            await renotify_if_ended(self._tables, self._notifier, message.message)
        else:
            await notify(self._notifier, outcome, run)

    def _isolation(
        self, message: ReceivedMessage, request: ImageRequest | None
    ) -> IsolatedDecoding | None:
        """Return the isolation of an image that may have ended its process."""
        suspected = message.suspected or (request is not None and request.retry_count > 0)
        return self._deaths.isolation(request) if suspected else None

    async def _create_renditions(self, message: ReceivedMessage) -> None:
        """Make the renditions that CreateRenditions was called for. Their image has been published before."""
        image_id = message.message.image_id
        image = await self._tables.read_image_by_id(image_id)
        if image is None:
            _log.warning("renditions of an unknown image", image_id=image_id)
        else:
            await self._renditions.complete(
                image,
                split_names(message.message.renditions),
                again=True,
                expensive=message.message.expensive,
                isolation=self._isolation(message, None),
            )
        await self._queue.ack(message)

    async def keep_alive(self, message: ReceivedMessage) -> None:
        """Touch the row of a message that is sent again without a run. Raises DependencyUnavailable or Overloaded.

        A request that became PENDING a short time ago is not read: its row cannot need it.
        """
        content = message.message
        if content.creates_renditions or now_ms() - content.pending_since < TOUCH_AFTER_S * 1000:
            return
        request = await self._tables.read_request(content.request_id)
        if request and message_status(request, content.revision) is MessageStatus.OPEN:
            await self._keep_alive(request)

    async def _keep_alive(self, request: ImageRequest) -> None:
        """Touch the row if that is due, so that reconcile sees that the request's message is alive."""
        now = now_ms()
        if now - request.updated_at >= TOUCH_AFTER_S * 1000:
            with contextlib.suppress(ConditionNotMet):
                await self._tables.write(self._tables.statements.touch(request, now=now))

    async def _process(self, message: ReceivedMessage, request: ImageRequest | None = None) -> None:
        """Run the pipeline, then notify and acknowledge, or requeue, or fail the request.

        `request` is the result of `_open_request`; None if this is a first delivery.
        """
        run = Run.of(message.message, message.lane)
        isolation = None if request is None else self._isolation(message, request)
        try:
            outcome = await self._pipeline.run(message.message, run, request, isolation)
        except ImageFailure as failure:
            decision = self._retry_policy.decide(failure, attempts=run.attempts)
            await self._apply(message, decision, run, request)
        except HostBusy as busy:
            decision = self._retry_policy.decide_busy(
                busy, attempts=run.attempts, pending=pending_seconds(message.message, now_ms())
            )
            await self._apply(message, decision, run, request)
        except ConditionNotMet:
            await renotify_if_ended(self._tables, self._notifier, message.message)
            await self._queue.ack(message)
        except (DependencyUnavailable, Overloaded, RequestRejected, DecodersBusy):
            raise
        except Exception:  # noqa: BLE001  whatever it is, the request must end
            _log.exception("unexpected error", request_id=message.message.request_id)
            decision = self._retry_policy.decide_unexpected(attempts=message.message.attempts)
            await self._apply(message, decision, run, request)
        else:
            await notify(self._notifier, outcome, run)
            await self._queue.ack(message)

    async def _apply(
        self,
        message: ReceivedMessage,
        decision: Decision,
        run: Run,
        request: ImageRequest | None,
    ) -> None:
        not_after = message.message.restored(request).not_after
        match limit_requeue(decision, not_after, now_ms()):
            case Requeue(delay, attempts, reason):
                # An error of our code may have come after the write that ends the request.
                before_end = reason != INTERNAL_REASON
                await self._queue.requeue(
                    message, reason=reason, delay=delay, attempts=attempts, before_end=before_end
                )
            case Fail(failure, attempts):
                run.attempts = attempts
                await self._fail(message, failure, run)

    async def _fail(self, message: ReceivedMessage, failure: ImageFailure, run: Run) -> None:
        await fail_request(
            self._tables,
            self._notifier,
            message.message,
            failure,
            run,
            first=message.first,
        )
        await self._queue.ack(message)

"""One message from delivery to its end, whatever that is."""

import time

import structlog

from consumer.delivery import Delivery
from consumer.ending import fail_request
from consumer.fetching.politeness import HostBusy
from consumer.inbox import Inbox
from consumer.metrics import STEP_SECONDS
from consumer.notifier import Notifier
from consumer.outcome import Outcome, outcome_of
from consumer.pipeline import Pipeline, RunFailed
from consumer.verdict import Fail, GiveBack, Verdict, judge, judge_unexpected
from core.errors import Crashed, DependencyUnavailable, ImageFailure, Overloaded
from core.request import ImageRequest, Standing, standing
from core.tables import ConditionNotMet, Tables

_log = structlog.get_logger()


class Worker:
    def __init__(
        self,
        *,
        inbox: Inbox,
        pipeline: Pipeline,
        tables: Tables,
        notifier: Notifier,
        max_attempts: int,
        max_runs_alone: int,
    ) -> None:
        self._inbox = inbox
        self._pipeline = pipeline
        self._tables = tables
        self._notifier = notifier
        self._max_attempts = max_attempts
        self._max_runs_alone = max_runs_alone

    async def handle(self, delivery: Delivery) -> None:
        """Work on a message beside others. Raises DependencyUnavailable; the message is then still held."""
        if delivery.first or await self.open_request(delivery):
            await self._run(delivery)

    async def run_alone(self, delivery: Delivery, request: ImageRequest) -> None:
        """Work on a suspect whose request is open, while the process holds nothing else.

        The run is counted before it begins: if it kills the process, the count stands.
        """
        if request.retry_count >= self._max_runs_alone:
            await self._fail(delivery, Crashed(), delivery.message.attempts)
            return
        try:
            await self._tables.write(
                self._tables.statements.begin_alone(
                    request.request_id, request.revision, retry_count=request.retry_count
                )
            )
        except ConditionNotMet:
            # Another process has begun, or ended, the same request since it was read.
            await self._inbox.give_back(delivery, reason="raced", delay=1, suspect=True)
            return
        await self._run(delivery)

    async def open_request(self, delivery: Delivery) -> ImageRequest | None:
        """The request, if there is still something to fetch; otherwise finish what an earlier run began."""
        message = delivery.message
        request = await self._tables.read_request(message.request_id)
        match standing(request, message.revision):
            case Standing.OPEN if request is not None:
                record = await self._tables.read_image(message.request_id)
                if record is None:
                    return request
                try:
                    outcome = await self._pipeline.complete(message, record)
                except ConditionNotMet:
                    await self._settle_raced(delivery)
                else:
                    await self._conclude(delivery, outcome)
            case Standing.ENDED if request is not None:
                await self._retell(delivery, request)
            case _:
                _log.info("stale message deleted", request_id=message.request_id)
                await self._inbox.finish(delivery)
        return None

    async def _run(self, delivery: Delivery) -> None:
        try:
            outcome = await self._pipeline.run(delivery.message)
        except RunFailed as run:
            verdict = judge(run.failure, attempts=run.attempts, max_attempts=self._max_attempts)
            await self._carry_out(delivery, verdict)
        except HostBusy as busy:
            attempts = delivery.message.attempts
            await self._carry_out(delivery, GiveBack(busy.retry_after, attempts, "host_busy"))
        except ConditionNotMet:
            await self._settle_raced(delivery)
        except (DependencyUnavailable, Overloaded):
            raise
        except Exception:  # noqa: BLE001  whatever it is, the request must end
            _log.exception("unexpected fault", request_id=delivery.message.request_id)
            verdict = judge_unexpected(
                attempts=delivery.message.attempts, max_attempts=self._max_attempts
            )
            await self._carry_out(delivery, verdict)
        else:
            await self._conclude(delivery, outcome)

    async def _carry_out(self, delivery: Delivery, verdict: Verdict) -> None:
        match verdict:
            case GiveBack(delay, attempts, reason):
                await self._inbox.give_back(delivery, reason=reason, delay=delay, attempts=attempts)
            case Fail(failure, attempts):
                await self._fail(delivery, failure, attempts)

    async def _fail(self, delivery: Delivery, failure: ImageFailure, attempts: int) -> None:
        try:
            outcome = await fail_request(self._tables, delivery.message, failure, attempts)
        except ConditionNotMet:
            await self._settle_raced(delivery)
        else:
            await self._conclude(delivery, outcome)

    async def _settle_raced(self, delivery: Delivery) -> None:
        """The request was ended or reopened by another worker: tell its outcome, or leave it alone."""
        message = delivery.message
        request = await self._tables.read_request(message.request_id)
        if request is not None and standing(request, message.revision) is Standing.ENDED:
            await self._retell(delivery, request)
        else:
            await self._inbox.finish(delivery)

    async def _retell(self, delivery: Delivery, request: ImageRequest) -> None:
        """Another run ended this request and may have died before it told anyone: the same id again."""
        image = await self._tables.read_image(request.request_id) if request.image_id else None
        await self._notifier.tell(outcome_of(request, image))
        await self._inbox.finish(delivery)

    async def _conclude(self, delivery: Delivery, outcome: Outcome) -> None:
        _log.debug("ended", request_id=outcome.request_id, state=outcome.state)
        started = time.perf_counter()
        await self._notifier.tell(outcome)
        STEP_SECONDS.labels("notify").observe(time.perf_counter() - started)
        await self._inbox.finish(delivery)

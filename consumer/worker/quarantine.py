"""The quarantine: runs messages that may be poison messages, one at a time.

A poison message kills the process that runs it, for example by exhausting memory. Its run is counted in the request's
row before it begins, so the count survives the process. After MAX_ISOLATED_RUNS runs the request is FAILED CRASHED.
"""

import uuid

import structlog

from consumer.run import Run
from consumer.worker.handler import MessageHandler
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.runner import MessageRunner
from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import Crashed
from core.model.request import ImageRequest

_log = structlog.get_logger()

_REQUEUE_DELAY_S = 1.0


class Quarantine:
    """`max_runs` is the number of isolated runs after which a request fails."""

    def __init__(
        self,
        queue: ReceiveQueue,
        handler: MessageHandler,
        runner: MessageRunner,
        tables: Tables,
        *,
        max_runs: int,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._runner = runner
        self._tables = tables
        self._max_runs = max_runs

    async def process(self, suspected: list[ReceivedMessage]) -> None:
        """Finish the messages that need no run; run one of the others alone, and requeue the rest."""
        to_run: list[tuple[ReceivedMessage, ImageRequest]] = []
        for message in suspected:
            opening = self._handler.open_request(message)
            request = await self._runner.run_safely(message, opening)
            if request is not None:
                to_run.append((message, request))
        if not to_run:
            return
        (message, request), *others = to_run
        for other, _ in others:
            self._runner.start(
                self._runner.requeue(other, reason="suspect", delay=_REQUEUE_DELAY_S)
            )
        await self._runner.wait_until_idle()
        if not await self._runner.run_safely(message, self._begin_run(message, request)):
            return
        _log.warning(
            "isolated run began", request_id=request.request_id, runs_before=request.retry_count
        )
        # The run is counted. If the process survives, the message is no poison message, whatever else fails.
        unquarantined = self._queue.unquarantine(message)
        self._runner.start(
            self._runner.run_safely(unquarantined, self._handler.process(unquarantined, request))
        )
        await self._runner.wait_until_idle()

    async def _begin_run(self, message: ReceivedMessage, request: ImageRequest) -> bool:
        """Count an isolated run. Returns False if it must not begin.

        Then the request has failed after too many runs, or another process is at work on it.
        """
        if request.retry_count >= self._max_runs:
            await self._handler.fail(message, Crashed(), Run.of(message.message))
            return False
        run_id = uuid.uuid4().hex
        statement = self._tables.statements.begin_isolated_run(request, run_id=run_id)
        try:
            await self._tables.write(statement)
        except ConditionNotMet:
            # With this run's id in the row, the write had succeeded and only its answer was lost.
            now = await self._tables.read_request(request.request_id)
            if now is None or now.run_id != run_id:
                await self._queue.requeue(message, reason="raced", delay=1)
                return False
        return True

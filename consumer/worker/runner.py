"""Runs work on messages in tasks, and decides what becomes of a message whose work fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type

from consumer.metrics import OUTAGE
from consumer.sandbox.admission import DecodersBusy
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from core.errors import DependencyUnavailable, Overloaded
from core.model.message import Lane
from core.resilience.backoff import Backoff
from core.resilience.circuit_breaker import BreakerState, CircuitBreaker
from core.runtime.loop_bound import LoopBound

T = TypeVar("T")
_log = structlog.get_logger()

_OUTAGE_DELAY = Backoff.between(2.0, 4.0)
"""Delay of a message that met an outage. Not full jitter: it must not come back at once."""
_REQUEUE_BACKOFF = Backoff(0.2, 4.0)
_OPEN_TIME = Backoff(1.0, 4.0, floor=0.5)
"""Short even in a long outage, so that work goes on within 10 s after it. A trial costs one message received and
requeued. The floor, because receives are counted."""


class MessageRunner(LoopBound):
    """Its circuit breaker opens when work meets an outage of a dependency. Its callers bound the number of tasks."""

    def __init__(self, queue: ReceiveQueue) -> None:
        self._queue = queue
        self._tasks: set[asyncio.Task[None]] = set()
        self._breaker = CircuitBreaker(_OPEN_TIME)

    @property
    def outage(self) -> bool:
        return not self._breaker.closed

    def start(
        self,
        work: Coroutine[Any, Any, Any],
        on_end: Callable[[asyncio.Task[None]], object] | None = None,
    ) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if on_end is not None:
            task.add_done_callback(on_end)
        return task

    async def wait_until_idle(self, *, within: float | None = None) -> bool:
        """Wait until all tasks have ended; returns whether they have `within` so many seconds."""
        try:
            async with asyncio.timeout(within):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        except TimeoutError:
            return False
        return True

    async def cancel(self) -> int:
        """Cancel all tasks, wait for their end, and return how many there were."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await self.wait_until_idle()
        return len(tasks)

    async def run_safely(self, message: ReceivedMessage, work: Awaitable[T]) -> T | None:
        """Return the result of `work`, or None if it failed.

        In an outage the message is requeued, and also if its image is expensive and the decoders are busy: that is our
        limit, and no attempt is spent. After any other error it is abandoned: one message must not stop the
        others, and the redrive policy limits how often SQS delivers it again.
        """
        try:
            return await work
        except DecodersBusy as busy:
            delay = busy.retry_after
            await self.requeue(
                message, reason="decoders_busy", delay=delay, expensive=True, before_end=True
            )
            return None
        except (DependencyUnavailable, Overloaded) as error:
            self.record_outage(error)
        except Exception:  # noqa: BLE001  whatever it is, one message must not stop the others
            self._abandon(message)
            return None
        await self.requeue(message, reason="outage", delay=_OUTAGE_DELAY.delay(1))
        return None

    async def requeue(
        self,
        message: ReceivedMessage,
        *,
        reason: str,
        delay: float = 0,
        expensive: bool = False,
        before_end: bool = False,
        lane: Lane | None = None,
        deferrals: int | None = None,
    ) -> None:
        """Requeue a message as ReceiveQueue does, with retries until it works.

        Meanwhile the heartbeat keeps the message invisible to others.
        """
        retries = AsyncRetrying(
            retry=retry_if_exception_type((DependencyUnavailable, Overloaded)),
            wait=_REQUEUE_BACKOFF,
        )
        try:
            await retries(
                self._queue.requeue,
                message,
                reason=reason,
                delay=delay,
                expensive=expensive,
                before_end=before_end,
                lane=lane,
                deferrals=deferrals,
            )
        except Exception:  # noqa: BLE001  as in run_safely
            self._abandon(message)

    def _abandon(self, message: ReceivedMessage) -> None:
        _log.exception("message abandoned", request_id=message.message.request_id)
        self._queue.abandon(message)

    def record_outage(self, error: Exception) -> None:
        if self._breaker.closed:
            _log.error("outage began, receiving stopped", error=str(error))
        self._breaker.record_failure()
        OUTAGE.set(1)

    async def wait_for_trial(self) -> None:
        """Wait until one message may be tried, with no other at work."""
        await self.wait_until_idle()
        await self._breaker.wait_for_trial()

    async def end_trial(self) -> None:
        """Wait for the trial's end. The circuit breaker closes unless something failed meanwhile."""
        await self.wait_until_idle()
        if self._breaker.state is BreakerState.HALF_OPEN:
            self._breaker.record_success()
            OUTAGE.set(0)
            _log.warning("outage ended")

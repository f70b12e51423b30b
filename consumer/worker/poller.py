"""The consumer's loop: capacity first, then messages; suspects alone; outages waited out; nothing lost by a drain."""

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type

from consumer.metrics import CONCURRENCY, OUTAGE, QUEUE_AGE_SECONDS, received
from consumer.worker.handler import MessageHandler
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from core.aws.batch import MAX_BATCH
from core.errors import DependencyUnavailable, Overloaded
from core.model.request import ImageRequest
from core.resilience.backoff import Backoff
from core.resilience.circuit_breaker import BreakerState, CircuitBreaker
from core.runtime.clock import now_ms

T = TypeVar("T")
_log = structlog.get_logger()

_GATHER_S = 0.05
"""How long a nearly full process waits for room for a whole batch."""
_OUTAGE_DELAY = Backoff.between(5.0, 10.0)
"""Of a message that met an outage. Not full jitter: it must not come back at once."""
_REQUEUE_BACKOFF = Backoff(0.2, 5.0)
_OPEN_TIME = Backoff(1.0, 60.0, floor=0.5)
"""The floor, because each trial receives a message, and receives are counted."""
_RECEIVE_MARGIN_S = 2.0
_GIVE_BACK_S = 10.0
_SUSPECT_DELAY_S = 1.0


class Loop:
    """`concurrency` bounds what is held; `receive_wait` and `drain_grace` are in seconds."""

    def __init__(
        self,
        inbox: ReceiveQueue,
        worker: MessageHandler,
        *,
        concurrency: int,
        receive_wait: int,
        drain_grace: float,
    ) -> None:
        self._inbox = inbox
        self._worker = worker
        self._concurrency = concurrency
        CONCURRENCY.set(concurrency)
        self._receive_wait = receive_wait
        self._drain_grace = drain_grace
        self._running: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._breaker = CircuitBreaker(_OPEN_TIME)
        self._cautious = False
        self._receiving = False

    def stop(self) -> None:
        """Receive no more; `run` returns once what is held is finished or given back."""
        self._stopping.set()

    async def stopped(self) -> None:
        """Wait for `stop`."""
        await self._stopping.wait()

    async def run(self) -> None:
        """Work until `stop`, then drain: within the receive's wait, `drain_grace` and 15 s."""
        cycle = asyncio.create_task(self._cycle())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({cycle, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._receiving:
            # What SQS is about to hand over is taken, to be given back at once rather than after its visibility.
            await asyncio.wait({cycle}, timeout=self._receive_wait + _RECEIVE_MARGIN_S)
        cycle.cancel()
        await asyncio.wait({cycle})
        await self._drain()
        if not cycle.cancelled():
            cycle.result()

    async def _cycle(self) -> None:
        while not self._stopping.is_set():
            if self._breaker.closed:
                await self._take(1 if self._cautious else await self._capacity())
            else:
                await self._probe()

    async def _capacity(self) -> int:
        """How many messages to ask for: at least one, a whole batch if that is soon possible."""
        while len(self._running) >= self._concurrency:
            await self._one_ends()
        enough = min(MAX_BATCH, max(1, self._concurrency // 2))
        if self._concurrency - len(self._running) < enough:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    while self._concurrency - len(self._running) < enough:
                        await self._one_ends()
        return min(MAX_BATCH, self._concurrency - len(self._running))

    async def _one_ends(self) -> None:
        # Not asyncio.wait, which would hang a callback on each of them, every time.
        self._ended.clear()
        await self._ended.wait()

    async def _take(self, count: int) -> None:
        self._receiving = True
        try:
            deliveries = await self._inbox.receive(count, wait=self._receive_wait)
        except DependencyUnavailable as error:
            self._trip(error)
            return
        finally:
            self._receiving = False
        for delivery in deliveries:
            _count(delivery)
        if self._stopping.is_set():
            return
        suspects = [delivery for delivery in deliveries if delivery.suspect]
        for delivery in deliveries:
            if not delivery.suspect:
                self._start(self._guard(delivery, self._worker.handle(delivery)))
        # After a crash suspects come in a row: taken one by one, none has to be given back.
        self._cautious = bool(suspects)
        if suspects:
            await self._meet(suspects)

    async def _meet(self, suspects: list[ReceivedMessage]) -> None:
        """Finish those that need no run; run one of the others alone and give the rest back."""
        open_ones: list[tuple[ReceivedMessage, ImageRequest]] = []
        for delivery in suspects:
            request = await self._guard(delivery, self._worker.open_request(delivery))
            if request is not None:
                open_ones.append((delivery, request))
        if not open_ones:
            return
        (delivery, request), *others = open_ones
        for other, _ in others:
            self._start(self._give_back(other, reason="suspect", delay=_SUSPECT_DELAY_S))
        await self._idle()
        if not await self._guard(delivery, self._worker.begin_alone(delivery, request)):
            return
        _log.warning("running alone", request_id=request.request_id, begun=request.retry_count)
        # Its run is counted. If the process lives, it is no suspect any more, whatever else goes wrong.
        cleared = self._inbox.clear(delivery)
        self._start(self._guard(cleared, self._worker.run(cleared)))
        await self._idle()

    async def _probe(self) -> None:
        """Receive one message after the open time. The breaker closes unless something fails meanwhile."""
        await self._idle()
        await self._breaker.wait_for_trial()
        await self._take(1)
        await self._idle()
        if self._breaker.state is BreakerState.HALF_OPEN:
            self._breaker.record_success()
            OUTAGE.set(0)
            _log.warning("outage over")

    async def _guard(self, delivery: ReceivedMessage, work: Awaitable[T]) -> T | None:
        """Do `work`; afterwards the message is finished, given back or let go, unless a drain cut it short."""
        try:
            return await work
        except (DependencyUnavailable, Overloaded) as error:
            self._trip(error)
        except Exception:  # noqa: BLE001  whatever it is, one message must not stop the others
            # A fault of ours that the worker did not foresee. The message comes back when its visibility lapses, and
            # the queue's redrive policy bounds how often.
            _log.exception("message let go", request_id=delivery.message.request_id)
            self._inbox.let_go(delivery)
            return None
        await self._give_back(delivery, reason="outage", delay=_OUTAGE_DELAY.delay(1))
        return None

    async def _give_back(self, delivery: ReceivedMessage, *, reason: str, delay: float = 0) -> None:
        """Until it works or is cancelled: meanwhile the heartbeat keeps what is held."""
        retries = AsyncRetrying(
            retry=retry_if_exception_type((DependencyUnavailable, Overloaded)),
            wait=_REQUEUE_BACKOFF,
        )
        try:
            await retries(self._inbox.give_back, delivery, reason=reason, delay=delay)
        except Exception:  # noqa: BLE001  as in _guard
            _log.exception("message let go", request_id=delivery.message.request_id)
            self._inbox.let_go(delivery)

    def _trip(self, error: Exception) -> None:
        if self._breaker.closed:
            _log.error("outage: receiving stops", error=str(error))
        self._breaker.record_failure()
        OUTAGE.set(1)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._ended.set()

    async def _idle(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    async def _drain(self) -> None:
        """Let work finish within the grace, then give back all that is still held, in any state."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._drain_grace)
        for task in set(self._running):
            task.cancel()
        await self._idle()
        held = self._inbox.held
        if not held:
            return
        _log.warning("giving back what is unfinished", count=len(held))
        for delivery in held:
            self._start(self._give_back(delivery, reason="drain"))
        _, late = await asyncio.wait(self._running, timeout=_GIVE_BACK_S)
        for task in late:
            task.cancel()
        if late:
            _log.error("left to the visibility timeout", count=len(late))
            await asyncio.wait(late)


def _count(delivery: ReceivedMessage) -> None:
    kind = "first" if delivery.first else "suspect" if delivery.suspect else "again"
    received(kind).inc()
    QUEUE_AGE_SECONDS.observe(max(0.0, (now_ms() - delivery.sent_at) / 1000))

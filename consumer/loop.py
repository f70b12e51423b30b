"""The consumer's loop: capacity first, then messages; suspects alone; outages waited out; nothing lost by a drain."""

import asyncio
import random
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

import structlog

from consumer.breaker import Breaker
from consumer.delivery import Delivery
from consumer.inbox import Inbox
from consumer.metrics import OUTAGE, QUEUE_AGE_SECONDS, RECEIVED
from consumer.worker import Worker
from core.clock import now_ms
from core.errors import DependencyUnavailable, Overloaded
from core.queue_sender import MAX_BATCH
from core.request import ImageRequest

T = TypeVar("T")
_log = structlog.get_logger()

_GATHER_S = 0.05
"""How long a nearly full process waits for room for a whole batch."""
_OUTAGE_DELAY_S = 5.0
_SUSPECT_DELAY_S = 1.0


class Loop:
    """`concurrency` bounds what is held; `receive_wait` and `drain_grace` are in seconds."""

    def __init__(
        self,
        inbox: Inbox,
        worker: Worker,
        *,
        concurrency: int,
        receive_wait: int,
        drain_grace: float,
    ) -> None:
        self._inbox = inbox
        self._worker = worker
        self._concurrency = concurrency
        self._receive_wait = receive_wait
        self._drain_grace = drain_grace
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._breaker = Breaker()
        self._failures = 0
        self._cautious = False

    def stop(self) -> None:
        """Receive no more; `run` returns once what is held is finished or given back."""
        self._stopping.set()

    async def run(self) -> None:
        while not self._stopping.is_set():
            if self._breaker.open:
                await self._probe()
            else:
                await self._take(1 if self._cautious else await self._capacity())
        await self._drain()

    async def _capacity(self) -> int:
        """How many messages to ask for: at least one, a whole batch if that is soon possible."""
        while len(self._running) >= self._concurrency:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        if self._concurrency - len(self._running) < MAX_BATCH and self._running:
            await asyncio.wait(
                self._running, timeout=_GATHER_S, return_when=asyncio.FIRST_COMPLETED
            )
        return min(MAX_BATCH, self._concurrency - len(self._running))

    async def _take(self, count: int) -> None:
        try:
            deliveries = await self._inbox.receive(count, wait=self._receive_wait)
        except DependencyUnavailable as error:
            self._trip(error)
            return
        for delivery in deliveries:
            _count(delivery)
        if self._stopping.is_set():
            await self._return_all(deliveries, reason="drain")
            return
        suspects = [delivery for delivery in deliveries if delivery.suspect]
        for delivery in deliveries:
            if not delivery.suspect:
                self._start(self._guard(delivery, self._worker.handle(delivery)))
        # After a crash suspects come in a row: taken one by one, none has to be given back.
        self._cautious = bool(suspects)
        if suspects:
            await self._meet(suspects)

    async def _meet(self, suspects: list[Delivery]) -> None:
        """Finish those that need no run; run one of the others alone and give the rest back."""
        open_ones: list[tuple[Delivery, ImageRequest]] = []
        for delivery in suspects:
            request = await self._guard(delivery, self._worker.open_request(delivery))
            if request is not None:
                open_ones.append((delivery, request))
        if not open_ones:
            return
        (delivery, request), *others = open_ones
        await self._return_all([other for other, _ in others], reason="suspect")
        await self._idle()
        if self._stopping.is_set():
            await self._return_all([delivery], reason="drain")
            return
        _log.warning("running alone", request_id=request.request_id, begun=request.retry_count)
        run = self._worker.run_alone(delivery, request)
        # Once it has run and the process lives, it is no suspect any more, whatever else went wrong.
        self._start(self._guard(delivery, run, suspect=False))
        await self._idle()

    async def _probe(self) -> None:
        """One message at a time shows whether the outage is over."""
        await self._idle()
        await self._pause(self._breaker.probe_delay)
        if self._stopping.is_set():
            return
        before = self._failures
        await self._take(1)
        await self._idle()
        if self._failures > before:
            self._breaker = self._breaker.probe_failed()
        else:
            self._breaker = self._breaker.probe_succeeded()
            OUTAGE.set(0)
            _log.warning("outage over")

    async def _guard(
        self, delivery: Delivery, work: Awaitable[T], *, suspect: bool | None = None
    ) -> T | None:
        """Do `work`; whatever happens, the message is finished, given back or let go in the end."""
        still_suspect = delivery.suspect if suspect is None else suspect
        try:
            return await self._or_give_back(delivery, work, still_suspect)
        except Exception:  # noqa: BLE001  whatever it is, one message must not stop the others
            # A fault of ours that the worker did not foresee. The message comes back when its visibility lapses, and
            # the queue's redrive policy bounds how often.
            _log.exception("message let go", request_id=delivery.message.request_id)
            self._inbox.let_go(delivery)
        return None

    async def _or_give_back(
        self, delivery: Delivery, work: Awaitable[T], suspect: bool
    ) -> T | None:
        try:
            return await work
        except (DependencyUnavailable, Overloaded) as error:
            self._trip(error)
            await self._give_back(delivery, reason="outage", suspect=suspect)
        except asyncio.CancelledError:
            await self._give_back(delivery, reason="drain", suspect=suspect)
        return None

    async def _give_back(self, delivery: Delivery, *, reason: str, suspect: bool) -> None:
        """Until it works or is cancelled: meanwhile the heartbeat keeps what is held."""
        pause = 0.2
        delay = random.uniform(1, 2) * _OUTAGE_DELAY_S if reason == "outage" else 0  # noqa: S311  jitter
        while True:
            try:
                await self._inbox.give_back(delivery, reason=reason, delay=delay, suspect=suspect)
            except (DependencyUnavailable, Overloaded):
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311  jitter
                pause = min(5.0, pause * 2)
            else:
                return

    async def _return_all(self, deliveries: list[Delivery], *, reason: str) -> None:
        delay = _SUSPECT_DELAY_S if reason == "suspect" else 0
        await asyncio.gather(
            *(
                self._guard(
                    delivery,
                    self._inbox.give_back(
                        delivery, reason=reason, delay=delay, suspect=delivery.suspect
                    ),
                )
                for delivery in deliveries
            )
        )

    def _trip(self, error: Exception) -> None:
        if not self._breaker.open:
            _log.error("outage: receiving stops", error=str(error))
        self._failures += 1
        self._breaker = self._breaker.tripped()
        OUTAGE.set(1)

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _idle(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _drain(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=self._drain_grace)
        left = set(self._running)
        for task in left:
            task.cancel()
        if left:
            _log.warning("giving back what is unfinished", count=len(left))
            await asyncio.wait(left, timeout=10)


def _count(delivery: Delivery) -> None:
    kind = "first" if delivery.first else "suspect" if delivery.suspect else "again"
    RECEIVED.labels(kind).inc()
    QUEUE_AGE_SECONDS.observe(max(0.0, (now_ms() - delivery.sent_at) / 1000))

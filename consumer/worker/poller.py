"""The poller: receives messages while there is capacity, and requeues what it holds when it is stopped."""

import asyncio
import contextlib

import structlog

from consumer.metrics import QUEUE_AGE_SECONDS, RECEIVED
from consumer.worker.handler import MessageHandler
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.runner import MessageRunner
from core.aws.batch import MAX_BATCH
from core.errors import DependencyUnavailable
from core.runtime.clock import now_ms
from core.runtime.metrics import counter

_log = structlog.get_logger()

_GATHER_S = 0.05
"""Seconds that a nearly full process waits for the capacity of a whole batch."""
_RECEIVE_MARGIN_S = 2.0
_REQUEUE_TIMEOUT_S = 10.0


class Poller:
    """`receive_wait` (long poll) and `drain_grace` are in seconds."""

    def __init__(
        self,
        queue: ReceiveQueue,
        handler: MessageHandler,
        runner: MessageRunner,
        *,
        receive_wait: int,
        drain_grace: float,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._runner = runner
        self._receive_wait = receive_wait
        self._drain_grace = drain_grace
        self._stopping = asyncio.Event()
        self._receiving = False

    def stop(self) -> None:
        """Stop receiving; `run` returns after the drain."""
        self._stopping.set()

    async def wait_until_stopped(self) -> None:
        await self._stopping.wait()

    async def run(self) -> None:
        """Poll until `stop`, then drain. The drain takes at most `receive_wait`, `drain_grace` and 15 s."""
        polling = asyncio.create_task(self._poll_forever())
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._receiving:
            # Messages that SQS is about to deliver are requeued at once, instead of after their visibility timeout.
            await asyncio.wait({polling}, timeout=self._receive_wait + _RECEIVE_MARGIN_S)
        polling.cancel()
        await asyncio.wait({polling})
        await self._drain()
        if not polling.cancelled():
            polling.result()

    async def _poll_forever(self) -> None:
        while not self._stopping.is_set():
            if self._runner.outage:
                await self._runner.wait_for_trial()
                await self._poll(1)
                await self._runner.end_trial()
            else:
                await self._poll(await self._capacity())

    async def _capacity(self) -> int:
        """Wait for a free slot; return how many messages to receive: a whole batch if slots for it are free soon."""
        while self._runner.free <= 0:
            await self._runner.wait_for_end()
        enough = min(MAX_BATCH, max(1, self._runner.concurrency // 2))
        if self._runner.free < enough:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    while self._runner.free < enough:
                        await self._runner.wait_for_end()
        return min(MAX_BATCH, self._runner.free)

    async def _poll(self, count: int) -> None:
        """Receive up to `count` messages and start their work."""
        self._receiving = True
        try:
            messages = await self._queue.receive(count, wait=self._receive_wait)
        except DependencyUnavailable as error:
            self._runner.record_outage(error)
            return
        finally:
            self._receiving = False
        for message in messages:
            _count(message)
        if self._stopping.is_set():
            return
        for message in messages:
            self._runner.start(self._runner.run_safely(message, self._handler.handle(message)))

    async def _drain(self) -> None:
        """Let work finish within `drain_grace`, then requeue every message that is still held."""
        await self._runner.wait_until_idle(within=self._drain_grace)
        await self._runner.cancel()
        held = self._queue.held
        if not held:
            return
        _log.warning("requeuing unfinished messages", count=len(held))
        for message in held:
            self._runner.start(self._runner.requeue(message, reason="drain"))
        await self._runner.wait_until_idle(within=_REQUEUE_TIMEOUT_S)
        if late := await self._runner.cancel():
            _log.error("messages not requeued", count=late)


def _count(message: ReceivedMessage) -> None:
    kind = "first" if message.first else "suspect" if message.suspected else "again"
    counter(RECEIVED, kind).inc()
    QUEUE_AGE_SECONDS.observe(max(0.0, (now_ms() - message.sent_at) / 1000))

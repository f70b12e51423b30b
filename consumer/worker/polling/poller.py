"""The poller: polls the lanes until it is stopped, and then requeues what the worker holds."""

import asyncio
from functools import partial

import structlog

from consumer.metrics import BUSY_SLOTS
from consumer.worker.handler import MessageHandler
from consumer.worker.polling.lane_poller import LanePoller
from consumer.worker.polling.slots import Slots
from consumer.worker.polling.wakeup import Wakeup
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.runner import MessageRunner

_log = structlog.get_logger()

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
        concurrency: int,
        receive_wait: int,
        drain_grace: float,
    ) -> None:
        self._queue = queue
        self._runner = runner
        self._receive_wait = receive_wait
        self._drain_grace = drain_grace
        self._stopping = asyncio.Event()
        self._slots = Slots(concurrency, queue.lanes)
        slots_changed, trial = Wakeup(), asyncio.Lock()
        self._lanes = [
            LanePoller(
                lane,
                queue,
                handler,
                runner,
                self._slots,
                slots_changed=slots_changed,
                trial=trial,
                stopping=self._stopping,
                receive_wait=receive_wait,
            )
            for lane in queue.lanes
        ]

    def export_metrics(self) -> None:
        """Make the process's gauges read the slots. Call once per process."""
        for lane in self._queue.lanes:
            BUSY_SLOTS.labels(lane).set_function(partial(self._slots.running, lane))

    def stop(self) -> None:
        """Stop receiving; `run` returns after the drain."""
        self._stopping.set()

    async def wait_until_stopped(self) -> None:
        await self._stopping.wait()

    async def run(self) -> None:
        """Poll until `stop`, then drain. The drain takes at most `receive_wait`, `drain_grace` and 15 s."""
        polling = {asyncio.create_task(lane.poll_until_stopped()): lane for lane in self._lanes}
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({*polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        # A lane that ends by a bug stops the others.
        self._stopping.set()
        stopping.cancel()
        if receiving := [task for task, lane in polling.items() if lane.receiving]:
            # Messages that SQS is about to deliver are requeued at once, instead of after their visibility timeout.
            await asyncio.wait(receiving, timeout=self._receive_wait + _RECEIVE_MARGIN_S)
        for task in polling:
            task.cancel()
        await asyncio.wait(polling)
        await self._drain()
        for task in polling:
            if not task.cancelled():
                task.result()

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

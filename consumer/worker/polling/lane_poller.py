"""Polls one lane: receives messages while there are slots for them, and defers those of customers over their share."""

import asyncio
import contextlib
from functools import partial

from consumer.metrics import QUEUE_AGE_SECONDS, RECEIVED
from consumer.worker.handler import MessageHandler
from consumer.worker.polling.deferral import defer, is_deferrable
from consumer.worker.polling.slots import Placement, Poll, Slots
from consumer.worker.polling.wakeup import Wakeup
from consumer.worker.receive_queue import ReceiveQueue
from consumer.worker.received_message import ReceivedMessage
from consumer.worker.runner import MessageRunner
from core.errors import DependencyUnavailable
from core.model.message import Lane
from core.runtime.clock import now_ms
from core.runtime.metrics import counter, histogram

_GATHER_S = 0.05
"""Seconds that a nearly full process waits for the slots of a whole batch."""
_PATIENCE_S = {Lane.INTERACTIVE: 0.25, Lane.BULK: 1.0}
"""Seconds without a free slot after which a lane is polled without one. Quick work frees slots all the time, and then
no message is received only to be sent again. For bulk it is also the interval of these polls, because the same messages
return."""


class LanePoller:
    """`slots_changed`, `trial` and `stopping` are shared by all lanes. `receive_wait` (long poll) is in seconds."""

    def __init__(
        self,
        lane: Lane,
        queue: ReceiveQueue,
        handler: MessageHandler,
        runner: MessageRunner,
        slots: Slots,
        *,
        slots_changed: Wakeup,
        trial: asyncio.Lock,
        stopping: asyncio.Event,
        receive_wait: int,
    ) -> None:
        self._lane = lane
        self._queue = queue
        self._handler = handler
        self._runner = runner
        self._slots = slots
        self._slots_changed = slots_changed
        self._trial = trial
        self._stopping = stopping
        self._receive_wait = receive_wait
        self._has_bulk = Lane.BULK in queue.lanes
        self._searching = False
        """Whether the last poll found messages for which there was no slot. Messages of other customers may wait behind
        them."""
        self.receiving = False

    async def poll_until_stopped(self) -> None:
        while not self._stopping.is_set():
            if self._runner.outage:
                await self._wait_for_trial()
            else:
                await self._receive(await self._next_poll())

    async def _wait_for_trial(self) -> None:
        """Take part in the end of an outage: one lane tries one message, and then each other lane begins with one."""
        one = Poll(self._lane, 1)
        async with self._trial:
            if not self._runner.outage:
                await self._receive(one)
                return
            await self._runner.wait_for_trial()
            await self._receive(one)
            await self._runner.end_trial()

    async def _next_poll(self) -> Poll:
        """Wait for free slots and take them. If there are none for a while, return a poll without slots."""
        patience = 0 if self._searching else _PATIENCE_S[self._lane]
        try:
            async with asyncio.timeout(patience):
                await self._gather()
                return await self._begin()
        except TimeoutError:
            while True:
                if poll := self._slots.begin(self._lane) or self._slots.search(self._lane):
                    return poll
                await self._slots_changed.wait()

    async def _begin(self) -> Poll:
        while (poll := self._slots.begin(self._lane)) is None:
            await self._slots_changed.wait()
        return poll

    async def _gather(self) -> None:
        """Wait a moment if only a few slots are free: a whole batch costs as many calls as one message."""
        enough = self._slots.enough(self._lane)
        if 0 < self._slots.room(self._lane) < enough:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GATHER_S):
                    while self._slots.room(self._lane) < enough:
                        await self._slots_changed.wait()

    async def _receive(self, poll: Poll) -> None:
        """Receive messages and start their work, except those for which there is no slot."""
        messages: list[ReceivedMessage] = []
        self.receiving = True
        try:
            messages = await self._queue.receive(
                poll.count, wait=self._receive_wait, lane=self._lane
            )
        except DependencyUnavailable as error:
            self._runner.record_outage(error)
        finally:
            self.receiving = False
            self._slots.end(poll, len(messages))
            self._slots_changed.notify()
        for message in messages:
            _count(message)
        if messages and not self._stopping.is_set():
            await self._start_all(messages, poll.slots)

    async def _start_all(self, messages: list[ReceivedMessage], slots: int) -> None:
        """Start messages, and send those again that must not run now. Messages below their share wait for a slot.

        The poll held `slots` slots, which the first messages take.
        """
        waiting: list[ReceivedMessage] = []
        deferring: list[asyncio.Task[None]] = []
        for index, message in enumerate(messages):
            match self._place(message, has_slot=index < slots):
                case Placement.WAIT:
                    waiting.append(message)
                case Placement.DEFER:
                    deferring.append(self._start_deferral(message))
        self._searching = bool(deferring) and self._lane is Lane.INTERACTIVE
        if deferring:
            # The lane is not polled meanwhile, which bounds the number of sends in progress.
            await asyncio.wait(deferring)
        for message in waiting:
            await self._start_when_placed(message)

    async def _start_when_placed(self, message: ReceivedMessage) -> None:
        while (placement := self._place(message)) is Placement.WAIT:
            await self._slots_changed.wait()
        if placement is Placement.DEFER:
            self._start_deferral(message)

    def _place(self, message: ReceivedMessage, *, has_slot: bool = False) -> Placement:
        """Start the message if it has a slot."""
        customer_id = message.message.customer_id
        deferrable = is_deferrable(self._lane, message.message.deferrals, has_bulk=self._has_bulk)
        placement = self._slots.place(
            self._lane, customer_id, deferrable=deferrable, has_slot=has_slot
        )
        if placement is Placement.RUN:
            work = self._runner.run_safely(message, self._handler.handle(message))
            self._runner.start(work, partial(self._release, customer_id))
        return placement

    def _release(self, customer_id: str, _task: asyncio.Task[None]) -> None:
        self._slots.release(self._lane, customer_id)
        self._slots_changed.notify()

    def _start_deferral(self, message: ReceivedMessage) -> asyncio.Task[None]:
        return self._runner.start(self._runner.run_safely(message, self._defer(message)))

    async def _defer(self, message: ReceivedMessage) -> None:
        await self._handler.keep_alive(message)
        deferral = defer(
            self._lane,
            message.message.deferrals,
            has_bulk=self._has_bulk,
            not_after=message.message.not_after,
            now=now_ms(),
        )
        await self._runner.requeue(
            message,
            reason="share",
            before_end=True,
            delay=deferral.delay,
            lane=deferral.lane,
            deferrals=deferral.deferrals,
        )


def _count(message: ReceivedMessage) -> None:
    kind = "first" if message.first else "suspect" if message.suspected else "again"
    counter(RECEIVED, kind, message.lane).inc()
    age = max(0.0, (now_ms() - message.sent_at) / 1000)
    histogram(QUEUE_AGE_SECONDS, message.lane).observe(age)

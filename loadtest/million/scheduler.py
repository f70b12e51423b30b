"""Decides which item is sent next, and when: a window of unfinished items (closed loop), or a rate (open loop)."""

import asyncio
import time

from loadtest.million.ledger import Ledger
from loadtest.run_report.schedule import Schedule


class Scheduler:
    """Hands out items until each is acknowledged or rejected. One feeder, any number of senders."""

    def __init__(self, ledger: Ledger, total: int, *, window: int) -> None:
        self._ledger = ledger
        self._total = total
        self._window = asyncio.Semaphore(window)
        self._queue: asyncio.Queue[int | None] = asyncio.Queue()
        self._retries: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()

    @property
    def queued(self) -> int:
        """Items that wait for a sender."""
        return self._queue.qsize()

    @property
    def finished(self) -> bool:
        """Whether every item has been acknowledged or rejected."""
        return self._finished.is_set()

    async def feed(self, schedule: Schedule | None) -> None:
        """Queue every item when it is due.

        A schedule ignores the window, because a slow service must not slow the load down.
        """
        for number in range(self._total):
            self._ledger.start(number, await self._due(number, schedule))
            self._queue.put_nowait(number)

    async def _due(self, number: int, schedule: Schedule | None) -> float:
        """Wait until the item is due and return the time from which its latency counts."""
        if schedule is None:
            await self._window.acquire()
            return time.monotonic()
        intended = schedule.intended(number)
        if (wait := intended - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        return intended

    async def next_item(self) -> int | None:
        """Return the next item; None, to every sender, once there are no more."""
        if self._finished.is_set() and self._queue.empty():
            return None
        number = await self._queue.get()
        if number is None:
            # Wake the next waiting sender as well.
            self._queue.put_nowait(None)
        return number

    def retry(self, number: int, delay: float) -> None:
        """Queue the item again after `delay` seconds."""
        task = asyncio.create_task(self._requeue(number, delay))
        self._retries.add(task)
        task.add_done_callback(self._retries.discard)

    async def _requeue(self, number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        self._queue.put_nowait(number)

    def release_slot(self) -> None:
        """Allow another item, because one has finished."""
        self._window.release()

    def item_answered(self) -> None:
        """Call after an item was acknowledged or rejected. The last call ends the senders."""
        if self._ledger.answered >= self._total and not self._finished.is_set():
            self._finished.set()
            self._queue.put_nowait(None)

"""Which item is sent next, and when: a window of unfinished ones (closed loop), or a schedule (open loop)."""

import asyncio
import time

from loadtest.million.ledger import Ledger
from loadtest.run_report.schedule import Schedule


class Work:
    """Hands out items until each has been acknowledged or refused. One feeder, any number of senders."""

    def __init__(self, ledger: Ledger, total: int, *, window: int) -> None:
        self._ledger = ledger
        self._total = total
        self._window = asyncio.Semaphore(window)
        self._waiting: asyncio.Queue[int | None] = asyncio.Queue()
        self._again: set[asyncio.Task[None]] = set()
        self._over = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Items that are put up and wait for a sender."""
        return self._waiting.qsize()

    @property
    def over(self) -> bool:
        """Every item has been acknowledged or refused."""
        return self._over.is_set()

    async def feed(self, schedule: Schedule | None) -> None:
        """Put every item up in its turn.

        With a schedule the window does not count: what is slow must not slow down the load.
        """
        for number in range(self._total):
            self._ledger.begin(number, await self._turn(number, schedule))
            self._waiting.put_nowait(number)

    async def _turn(self, number: int, schedule: Schedule | None) -> float:
        if schedule is None:
            await self._window.acquire()
            return time.monotonic()
        intended = schedule.intended(number)
        if (wait := intended - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        return intended

    async def take(self) -> int | None:
        """The next item; None, to every sender, once there will be no more."""
        if self._over.is_set() and self._waiting.empty():
            return None
        number = await self._waiting.get()
        if number is None:
            # For the next sender that waits.
            self._waiting.put_nowait(None)
        return number

    def again(self, number: int, delay: float) -> None:
        """Send it once more after `delay` seconds."""
        task = asyncio.create_task(self._put_again(number, delay))
        self._again.add(task)
        task.add_done_callback(self._again.discard)

    async def _put_again(self, number: int, delay: float) -> None:
        await asyncio.sleep(delay)
        self._waiting.put_nowait(number)

    def leave_window(self) -> None:
        """An item has finished: there is room for another."""
        self._window.release()

    def settled(self) -> None:
        """An item was acknowledged or refused; after the last one senders are let go."""
        if self._ledger.settled >= self._total and not self._over.is_set():
            self._over.set()
            self._waiting.put_nowait(None)

"""Time limits of blocks that every image or call has: as asyncio.timeout, in a fifth of its time.

asyncio.timeout makes a timer of the event loop for each block, and three system calls: until Python 3.12,
get_running_loop compares process ids. Here one timer of the event loop serves all blocks.
"""

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Self


class Deadline:
    """Context manager that raises TimeoutError if its block takes longer than `seconds`. It is used once.

    It cancels the task of the block, so the block must await in this task.
    """

    __slots__ = ("_cancelling", "_expired", "_seconds", "_task", "_timer", "ends_at")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False
        self.ends_at = math.inf
        """Seconds of the loop's clock; infinite while paused."""

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a deadline belongs to a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._timer = _timer_of(loop)
        self.ends_at = self._timer.loop.time() + self._seconds
        self._timer.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._timer.remove(self)
        if not self._expired:
            return
        # As in asyncio.timeout: if somebody else has cancelled the task too, it stays cancelled.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock in this block."""
        left = self.ends_at - self._timer.loop.time()
        self._timer.remove(self)
        self.ends_at = math.inf
        try:
            yield
        finally:
            if not self._expired:
                self.ends_at = self._timer.loop.time() + left
                self._timer.add(self)

    @property
    def expired(self) -> bool:
        """Whether the time was over before the block ended. Then the block is being cancelled."""
        return self._expired

    def expire(self) -> None:
        self._expired = True
        self._task.cancel()


class _Timer:
    """Expires the deadlines of one event loop.

    It is set to the earliest of the deadlines that were running when it was set. Most of them have been removed when it
    fires; a removal does not change it. So under load it is set once in several seconds.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._running: set[Deadline] = set()
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def add(self, deadline: Deadline) -> None:
        self._running.add(deadline)
        if deadline.ends_at < self._fires_at:
            self._set(deadline.ends_at)

    def remove(self, deadline: Deadline) -> None:
        self._running.discard(deadline)

    def _set(self, at: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._fires_at = at
        self._handle = self.loop.call_at(at, self._fire)

    def _fire(self) -> None:
        # Not the loop's clock: uvloop rounds times to milliseconds, so its timers may be early.
        now, self._fires_at, self._handle = self._fires_at, math.inf, None
        for deadline in [each for each in self._running if each.ends_at <= now]:
            self._running.discard(deadline)
            deadline.expire()
        if self._running:
            self._set(min(each.ends_at for each in self._running))


# A process has one event loop. Tests have many, one after another.
@lru_cache(maxsize=1)
def _timer_of(loop: asyncio.AbstractEventLoop) -> _Timer:
    return _Timer(loop)

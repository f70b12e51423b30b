"""Limits the bytes that this process holds at the same time: bodies, and memory for decoding."""

import asyncio
from collections import deque
from typing import Self


class Reservation:
    """`size` bytes of the budget. `acquire` takes them, and may be called again when they have been returned.

    As an async context manager it takes them at the start of the block. `async with` and `with` return them at the end.
    """

    def __init__(self, budget: "ByteBudget", size: int) -> None:
        """Raises ValueError if `size` exceeds the whole budget."""
        if not 0 <= size <= budget.capacity:
            raise ValueError(f"{size} bytes can never fit a budget of {budget.capacity}")
        self.size = size
        self._held = 0
        self._budget = budget

    def shrink(self, size: int) -> None:
        """Keep `size` bytes at most. A reservation never grows: that could deadlock."""
        kept = min(size, self._held)
        self._budget.release(self._held - kept)
        self._held = kept

    async def acquire(self) -> None:
        """Wait for the bytes; `shrink` returns them."""
        await self._budget.acquire(self.size)
        self._held = self.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shrink(0)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.shrink(0)


class ByteBudget:
    """A budget of bytes, first come, first served, so that small requests cannot starve a large one.

    A reservation of no bytes never waits.

    There is no deadlock if no task asks for a second reservation while it holds one.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.free = capacity
        """Bytes not reserved."""
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def fits(self, size: int) -> bool:
        """Return whether a reservation of `size` bytes would not wait."""
        return not self._waiting and size <= self.free

    def reserve(self, size: int) -> Reservation:
        return Reservation(self, size)

    async def acquire(self, size: int) -> None:
        if not size or self.fits(size):
            self.free -= size
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():  # granted, but cancelled before it could be used
                self.free += size
            self._admit()
            raise

    def release(self, size: int) -> None:
        self.free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, granted = self._waiting[0]
            if not granted.cancelled():
                if size > self.free:
                    return
                self.free -= size
                granted.set_result(None)
            self._waiting.popleft()

"""A bound on the bytes that this process holds at a time."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator


class Reservation:
    """A share of a budget, held until its block is left."""

    def __init__(self, budget: "ByteBudget", size: int) -> None:
        self._budget = budget
        self._size = size

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._size

    def shrink(self, size: int) -> None:
        """Keep only `size` bytes. A reservation never grows: growing while holding could deadlock."""
        kept = min(size, self._size)
        self._budget.give_back(self._size - kept)
        self._size = kept


class ByteBudget:
    """Bytes lent first come, first served, so that small requests cannot starve a large one.

    Free of deadlock as long as no task asks for a second reservation while it holds one.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free(self) -> int:
        """Bytes not lent."""
        return self._free

    @contextlib.asynccontextmanager
    async def reserve(self, size: int) -> AsyncIterator[Reservation]:
        """Hold `size` bytes in this block; waits for them on entry.

        Raises ValueError for more than the whole budget.
        """
        if not 0 <= size <= self._capacity:
            raise ValueError(f"{size} bytes can never fit a budget of {self._capacity}")
        await self._take(size)
        reservation = Reservation(self, size)
        try:
            yield reservation
        finally:
            reservation.shrink(0)

    async def _take(self, size: int) -> None:
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if not granted.cancelled():  # granted, but cancelled before it could be used
                self._free += size
            self._admit()
            raise

    def give_back(self, size: int) -> None:
        """Return bytes of a reservation and admit whom they suffice for."""
        self._free += size
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            size, granted = self._waiting[0]
            if not granted.cancelled():
                if size > self._free:
                    return
                self._free -= size
                granted.set_result(None)
            self._waiting.popleft()

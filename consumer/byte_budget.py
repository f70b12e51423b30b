"""A bound on the bytes that this process holds at a time."""

import asyncio
from collections import deque
from typing import Self


class Reservation:
    """A share of a budget, held in its `async with` block, on entry to which it is waited for."""

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

    async def take(self) -> None:
        """Wait for the bytes; `shrink` gives them back."""
        await self._budget.take(self._size)

    async def __aenter__(self) -> Self:
        await self.take()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.shrink(0)


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

    def fits(self, size: int) -> bool:
        """Whether a reservation of `size` bytes would not wait."""
        return not self._waiting and size <= self._free

    def reserve(self, size: int) -> Reservation:
        """`size` bytes, to be held in a block. Raises ValueError for more than the whole budget."""
        if not 0 <= size <= self._capacity:
            raise ValueError(f"{size} bytes can never fit a budget of {self._capacity}")
        return Reservation(self, size)

    async def take(self, size: int) -> None:
        """Wait for bytes; a reservation does."""
        if self.fits(size):
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

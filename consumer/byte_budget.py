"""Limits the bytes that this process holds at the same time: bodies, and memory for decoding."""

import asyncio
from collections import OrderedDict, deque
from typing import Self


class Reservation:
    """`size` bytes of the budget for a customer. `acquire` takes them, also again when they have been returned.

    As an async context manager it takes them at the start of the block. `async with` and `with` return them at the end.
    """

    def __init__(self, budget: "ByteBudget", size: int, customer_id: str = "") -> None:
        """Raises ValueError if `size` exceeds what one customer may hold."""
        if not 0 <= size <= budget.capacity:
            raise ValueError(f"{size} bytes can never fit a budget of {budget.capacity}")
        self.size = size
        self._held = 0
        self._budget = budget
        self._customer_id = customer_id

    def shrink(self, size: int) -> None:
        """Keep `size` bytes at most. A reservation never grows: that could deadlock."""
        kept = min(size, self._held)
        self._budget.release(self._held - kept, self._customer_id)
        self._held = kept

    async def acquire(self) -> None:
        """Wait for the bytes; `shrink` returns them."""
        await self._budget.acquire(self.size, self._customer_id)
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
    """A budget of bytes, shared fairly by customers.

    One customer alone may hold `capacity` bytes. `reserve` bytes on top are for customers that hold none, or with the
    new ones no more than their share of the capacity. Bytes that are returned go to the waiting customer that holds the
    fewest. The requests of one customer are served in their order, so that small ones cannot starve a large one.
    A reservation of no bytes never waits.

    There is no deadlock if no task asks for a second reservation while it holds one.
    """

    def __init__(self, capacity: int, *, reserve: int = 0) -> None:
        self.capacity = capacity
        self.free = capacity + reserve
        """Bytes that nobody holds, the reserve included."""
        self._reserve = reserve
        self._held: dict[str, int] = {}
        """By customer, without those that hold none."""
        self._waiting: OrderedDict[str, deque[tuple[int, asyncio.Future[None]]]] = OrderedDict()
        """By customer. The customer that was granted bytes last comes last."""

    def fits(self, size: int, customer_id: str = "") -> bool:
        """Return whether a reservation of `size` bytes would not wait."""
        if self._waiting and self._is_behind(customer_id):
            return False
        return self._admits(size, customer_id)

    def reserve(self, size: int, customer_id: str = "") -> Reservation:
        return Reservation(self, size, customer_id)

    async def acquire(self, size: int, customer_id: str = "") -> None:
        if not size:
            return
        if self.fits(size, customer_id):
            self._hold(size, customer_id)
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(customer_id, deque()).append((size, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._admit()
            else:  # granted, but cancelled before it could be used
                self.release(size, customer_id)
            raise

    def release(self, size: int, customer_id: str = "") -> None:
        if not size:
            return
        self.free += size
        left = self._held[customer_id] - size
        if left:
            self._held[customer_id] = left
        else:
            del self._held[customer_id]
        if self._waiting:
            self._admit()

    def _hold(self, size: int, customer_id: str) -> None:
        self.free -= size
        self._held[customer_id] = self._held_by(customer_id) + size

    def _held_by(self, customer_id: str) -> int:
        return self._held.get(customer_id, 0)

    def _admits(self, size: int, customer_id: str) -> bool:
        """Return whether there are bytes for this customer, of the reserve if it may use that."""
        if size <= self.free - self._reserve:
            return True
        held = self._held_by(customer_id)
        share = self.capacity // (len(self._held) + (not held))
        return size <= self.free and (not held or held + size <= share)

    def _is_behind(self, customer_id: str) -> bool:
        """Return whether a customer that waits has its turn before this one."""
        held = self._held_by(customer_id)
        return any(self._held_by(waiting) <= held for waiting in self._waiting)

    def _admit(self) -> None:
        while self._waiting:
            customer_id = min(self._waiting, key=self._held_by)
            waiting = self._waiting[customer_id]
            size, granted = waiting[0]
            if not granted.cancelled():
                if not self._admits(size, customer_id):
                    return
                self._hold(size, customer_id)
                granted.set_result(None)
            waiting.popleft()
            if waiting:
                self._waiting.move_to_end(customer_id)
            else:
                del self._waiting[customer_id]

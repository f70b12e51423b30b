"""A gate in front of a bounded resource: customers above their share wait, and take turns."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from core.resilience.fair_share import FairShare

_MAX_TURNS = 8
"""Customers that one released place is offered to. Those above their share do not take it."""


class FairGate:
    """Lets a customer pass while `shares`, and also `outer` if there is one, admit it.

    `slot` holds a place of `shares`. A caller that holds places itself calls `wait` before it takes one, and `wake`
    after it has released one of either pool.
    """

    def __init__(self, shares: FairShare, outer: FairShare | None = None) -> None:
        self._shares = shares
        self._outer = outer
        self._waiters: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Callers that wait, by customer; the customer whose turn is next comes first."""

    def must_wait(self, customer_id: str) -> bool:
        if not self._shares.admits(customer_id):
            return True
        return self._outer is not None and not self._outer.admits(customer_id)

    @asynccontextmanager
    async def slot(self, customer_id: str) -> AsyncIterator[None]:
        """Wait for a place, and hold it."""
        while self.must_wait(customer_id):
            await self.wait(customer_id)
        self._shares.hold(customer_id)
        try:
            yield
        finally:
            self._shares.release(customer_id)
            self.wake(customer_id)

    async def wait(self, customer_id: str) -> None:
        """Wait for a turn of this customer. Check `must_wait` again, without an await between."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(customer_id, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._shares.release(customer_id)
            self.wake(customer_id)
            raise
        self._shares.release(customer_id)

    def wake(self, customer_id: str) -> None:
        """Wake one caller: of a customer whose turn it is, else of this customer, which has released a place."""
        if not self._waiters:
            return
        for each in (*islice(self._waiters, _MAX_TURNS), customer_id):
            if each not in self._waiters:
                continue
            waiting = self._waiters.pop(each)
            woken = not self.must_wait(each) and _wake_first(waiting)
            if waiting:
                # At the end: the other customers have their turn first.
                self._waiters[each] = waiting
            if woken:
                # Until it resumes, nobody else gets its place.
                self._shares.hold(each)
                return


def _wake_first(waiting: deque[asyncio.Future[None]]) -> bool:
    """Return False if no caller waits any more."""
    while waiting:
        waiter = waiting.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return True
    return False

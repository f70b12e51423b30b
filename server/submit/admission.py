"""Admission control: bounds the submits in progress, and lets streams wait for capacity."""

import asyncio
from collections import deque

from core.dynamodb.tables import Tables
from core.errors import Overloaded
from core.model.request import ImageRequest
from core.runtime.in_flight import InFlight
from server.metrics import PENDING_SUBMITS
from server.submit.acceptance import Sender, SubmitOperation


class SubmitAdmission:
    """Admits up to `max_pending` submits. A submit counts until it is done, even if its caller has disconnected."""

    def __init__(self, tables: Tables, sender: Sender, *, max_pending: int) -> None:
        self._tables = tables
        self._sender = sender
        self._max_pending = max_pending
        self._in_flight = InFlight()
        self._waiters: deque[asyncio.Future[None]] = deque()

    def submit(self, request: ImageRequest) -> asyncio.Future[ImageRequest]:
        """Start a submit. The answer is the accepted request: `request`, or an earlier one with the same id.

        An answer means that row and message are durable. Cancelling the future does not stop the submit.
        Raises Overloaded at once; the future may raise RequestIdReused, Overloaded or DependencyUnavailable.
        """
        if self._in_flight.count >= self._max_pending:
            raise Overloaded(f"This server already runs {self._max_pending} submits.")
        answer = SubmitOperation(request, self._tables, self._sender, self._on_done).start()
        self._in_flight.start()
        PENDING_SUBMITS.inc()
        return answer

    @property
    def saturated(self) -> bool:
        """Whether streams have to wait. They may use half of the capacity; the rest is for unary calls."""
        return 2 * self._in_flight.count >= self._max_pending

    async def wait_for_capacity(self) -> None:
        """Wait in FIFO order while saturated. Capacity is not reserved: check `saturated` again."""
        if self.saturated:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled() and not self.saturated:
                    self._wake_next()
                raise

    async def wait_idle(self) -> None:
        await self._in_flight.wait_idle()

    def _on_done(self) -> None:
        self._in_flight.finish()
        PENDING_SUBMITS.dec()
        if self._waiters and not self.saturated:
            self._wake_next()

    def _wake_next(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

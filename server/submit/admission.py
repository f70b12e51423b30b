"""Admission control: bounds the submits in progress with fair shares, and lets streams wait for capacity."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from core.dynamodb.tables import Tables
from core.model.request import ImageRequest
from core.resilience.fair_share import FairShare
from core.runtime.in_flight import InFlight
from server.capacity import Capacity
from server.lanes.selector import LaneSelector
from server.metrics import PENDING_SUBMITS
from server.submit.acceptance import SubmitOperation


class SubmitAdmission:
    """Admits submits while there is capacity. A submit counts until it is done, even if its caller has disconnected.

    Streams may use half of the capacity; the rest is for unary calls. A stream of a customer that has more than its
    share waits; it delays no stream of a customer that has less.
    """

    def __init__(self, tables: Tables, lanes: LaneSelector, capacity: Capacity) -> None:
        self._tables = tables
        self._lanes = lanes
        self._capacity = capacity
        streamed = max(1, capacity.places // 2)
        self._streamed = FairShare(streamed, reserve=streamed)
        self._in_flight = InFlight()
        self._waiters: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """Streams that wait, by customer; the customer whose turn is next comes first."""

    def submit(self, request: ImageRequest, *, bulk: bool = False) -> asyncio.Future[ImageRequest]:
        """Start a submit. The answer is the accepted request: `request`, or an earlier one with the same id.

        `bulk`: whether the caller asks for the bulk lane. An answer means that row and message are durable. Cancelling
        the future does not stop the submit. Raises Overloaded at once; the future may raise RequestIdReused, Overloaded
        or DependencyUnavailable.
        """
        customer_id = request.customer_id
        if not self._capacity.admits(customer_id):
            raise self._capacity.refusal(customer_id)
        answer = self._start(request, bulk, self._on_done)
        self._capacity.hold(customer_id)
        return answer

    def submit_streamed(
        self, request: ImageRequest, *, bulk: bool = False
    ) -> asyncio.Future[ImageRequest]:
        """Start a submit of a stream, as `submit`. The caller has waited until `must_wait` was False."""
        answer = self._start(request, bulk, self._on_streamed_done)
        self._capacity.hold(request.customer_id)
        self._streamed.hold(request.customer_id)
        return answer

    def must_wait(self, customer_id: str) -> bool:
        """Return whether a stream has to wait before it submits an item of this customer."""
        return not (self._streamed.admits(customer_id) and self._capacity.admits(customer_id))

    async def wait_for_capacity(self, customer_id: str) -> None:
        """Wait for the turn of this customer and of this stream. Check `must_wait` again, without an await between."""
        if not self.must_wait(customer_id):
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(customer_id, deque()).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._streamed.release(customer_id)
            self._wake(customer_id)
            raise
        self._streamed.release(customer_id)

    async def wait_idle(self) -> None:
        await self._in_flight.wait_idle()

    def _start(
        self, request: ImageRequest, bulk: bool, on_done: Callable[[str], None]
    ) -> asyncio.Future[ImageRequest]:
        customer_id = request.customer_id
        queue = self._lanes.select(customer_id, bulk=bulk)
        operation = SubmitOperation(request, self._tables, queue, partial(on_done, customer_id))
        answer = operation.start()
        self._in_flight.start()
        PENDING_SUBMITS.inc()
        return answer

    def _on_streamed_done(self, customer_id: str) -> None:
        self._streamed.release(customer_id)
        self._on_done(customer_id)

    def _on_done(self, customer_id: str) -> None:
        self._capacity.release(customer_id)
        self._in_flight.finish()
        PENDING_SUBMITS.dec()
        if self._waiters:
            self._wake(customer_id)

    def _wake(self, customer_id: str) -> None:
        """Wake a stream of the customer whose turn it is, else one of this customer, whose submit has ended."""
        turn = next(iter(self._waiters), customer_id)
        for each in (turn, customer_id):
            if each not in self._waiters:
                continue
            waiting = self._waiters.pop(each)
            woken = not self.must_wait(each) and _wake_first(waiting)
            if waiting:
                # At the end: the other customers have their turn first.
                self._waiters[each] = waiting
            if woken:
                # Until it resumes, no other stream gets its place.
                self._streamed.hold(each)
                return


def _wake_first(waiting: deque[asyncio.Future[None]]) -> bool:
    """Return False if no stream waits any more."""
    while waiting:
        waiter = waiting.popleft()
        if not waiter.done():
            waiter.set_result(None)
            return True
    return False

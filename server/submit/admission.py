"""Admission control: bounds the submits in progress with fair shares, and lets streams wait for capacity."""

import asyncio
from collections.abc import Callable
from functools import partial

from core.dynamodb.tables import Tables
from core.model.request import ImageRequest
from core.resilience.fair_gate import FairGate
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
        self._gate = FairGate(self._streamed, capacity)
        self._in_flight = InFlight()

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
        return self._gate.must_wait(customer_id)

    async def wait_for_capacity(self, customer_id: str) -> None:
        """Wait until it is the turn of this customer. Check `must_wait` again, without an await between."""
        await self._gate.wait(customer_id)

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
        self._gate.wake(customer_id)

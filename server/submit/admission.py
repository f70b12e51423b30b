"""Admission control: bounds the submits in progress with fair shares, and lets streams wait for capacity."""

import asyncio
import sys
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
from server.submit.recent import RecentSubmits

_URL_BYTES_PER_PLACE = 4_096
"""Bytes of a URL in memory beyond which a submit takes a further place."""


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
        self._recent = RecentSubmits()
        self._joinable: dict[str, SubmitOperation] = {}
        """By id: the submits in progress whose ids the callers have chosen."""

    def submit(self, request: ImageRequest, *, bulk: bool = False) -> asyncio.Future[ImageRequest]:
        """Start a submit. The answer is the accepted request: `request`, or an earlier one with the same id.

        It joins a submit in progress of the same id and content, if the caller has chosen the id. `bulk`: whether the
        caller asks for the bulk lane. An answer means that row and message are durable. Cancelling the future does not
        stop the submit. Raises Overloaded at once; the future may raise RequestIdReused, Overloaded or
        DependencyUnavailable.
        """
        customer_id, places = request.customer_id, self._places(request)
        if not self._capacity.admits(customer_id, places):
            raise self._capacity.refusal(customer_id)
        answer = self._start(request, bulk, partial(self._on_done, customer_id, places))
        self._capacity.hold(customer_id, places)
        return answer

    def submit_streamed(
        self, request: ImageRequest, *, bulk: bool = False
    ) -> asyncio.Future[ImageRequest]:
        """Start a submit of a stream, as `submit`. The caller has waited until `must_wait` was False."""
        customer_id, places = request.customer_id, self._places(request)
        answer = self._start(request, bulk, partial(self._on_streamed_done, customer_id, places))
        self._capacity.hold(customer_id, places)
        self._streamed.hold(customer_id, places)
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
        self, request: ImageRequest, bulk: bool, on_done: Callable[[], None]
    ) -> asyncio.Future[ImageRequest]:
        if request.submit_id:
            answer = self._join_or_start(request, bulk, on_done)
        else:
            answer = self._operation(request, bulk, on_done).start()
        self._in_flight.start()
        PENDING_SUBMITS.inc()
        return answer

    def _join_or_start(
        self, request: ImageRequest, bulk: bool, on_done: Callable[[], None]
    ) -> asyncio.Future[ImageRequest]:
        request_id = request.request_id
        running = self._joinable.get(request_id)
        if running is None:
            on_done = partial(self._on_joinable_done, request_id, on_done)
        elif running.can_join(request):
            return running.join(on_done)
        operation = self._operation(request, bulk, on_done)
        answer = operation.start()
        self._joinable.setdefault(request_id, operation)
        return answer

    def _operation(
        self, request: ImageRequest, bulk: bool, on_done: Callable[[], None]
    ) -> SubmitOperation:
        return SubmitOperation(request, self._tables, self._lanes, self._recent, on_done, bulk=bulk)

    def _on_joinable_done(self, request_id: str, on_done: Callable[[], None]) -> None:
        del self._joinable[request_id]
        on_done()

    def _on_streamed_done(self, customer_id: str, places: int) -> None:
        self._streamed.release(customer_id, places)
        self._on_done(customer_id, places)

    def _on_done(self, customer_id: str, places: int) -> None:
        self._capacity.release(customer_id, places)
        self._in_flight.finish()
        PENDING_SUBMITS.dec()
        self._gate.wake(customer_id)

    def _places(self, request: ImageRequest) -> int:
        """Return the places of a submit by the memory of its URL: one, or up to eleven if there are as many.

        Measured per submit in progress: 22 KB, 41 KB with the longest URL, 84 KB if a character of it needs four bytes.
        """
        size = sys.getsizeof(request.origin_url)
        if size < _URL_BYTES_PER_PLACE:
            return 1
        return min(1 + size // _URL_BYTES_PER_PLACE, self._capacity.places)

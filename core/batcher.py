"""A micro-batcher: items submitted by many callers share few calls.

A batch is flushed in one of two cases:

    full     a whole batch is pending: it is flushed at once, beside up to `max_flushes` - 1 calls in flight
    partial  fewer items are pending and no call is in flight: they are flushed after one turn of the event loop, or,
             if the last call had more than one item, after up to `linger` seconds

Otherwise items wait for a call to end. So an idle process adds no delay, and a busy process fills its batches.

Customers take turns. With `quick`, the items of customers that hold less than a batch do not wait for one that holds
more: meanwhile they have a call of their own, one at a time, which collects further ones.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from core.errors import DependencyUnavailable, Overloaded, RequestRejected
from core.resilience.backoff import Backoff
from core.resilience.fair_queue import FairQueue, Line
from core.runtime.loop_bound import LoopBound
from core.runtime.metrics import GROUP_COMMIT_BATCH_SIZE, GROUP_COMMIT_RETRIES

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Ok(Generic[R]):
    value: R


@dataclass(frozen=True, slots=True)
class Failed:
    """The item failed for good; its caller gets `error`."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Retry:
    """The call succeeded, but this item was throttled or met an internal error. It is retried."""

    reason: str


ItemResult = Ok[R] | Failed | Retry
OK = Ok(None)
"""The result of an item without a value."""

_BACKOFF = Backoff(0.1, 2.0)
_MAX_SKIPPED_BATCHES = 4
"""Upper bound, in multiples of the batch size, on items that a flush skips because their key is already in the batch.
Without it, each flush would scan all pending items of a hot key."""


@dataclass(frozen=True, slots=True)
class Batching:
    """Limits of the batches of a process. `linger` is in seconds; a `max_batch` above the API's limit is reduced to it.

    `max_pending` bounds the items that wait.

    A `max_batch` of 1 turns batching off, for comparisons.
    """

    max_batch: int = 100
    linger: float = 0.0
    max_pending: int = 10_000


NO_LINGER = Batching()


@dataclass(slots=True, eq=False)
class _Pending(Generic[T, R]):
    item: T
    key: Hashable
    future: asyncio.Future[R]
    customer: "_Customer[T, R]"
    line: Line[Any]
    """Where it waits."""
    attempts: int = 0


@dataclass(slots=True, eq=False)
class _Customer(Generic[T, R]):
    """A customer that has items. `held` is the number of those that are pending or in flight."""

    id: str
    held: int = 0
    line: Line[_Pending[T, R]] = field(default_factory=Line)


class Batcher(LoopBound, Generic[T, R]):
    """Sends items in batches through `commit`, which returns one result per item, in order.

    `max_batch` is the API's limit of items in a call, and `max_bytes` that of their sizes together; a larger item
    is sent alone. `size` returns the bytes of an item; without it they are not counted. `max_pending` bounds the
    pending items, by default to that of `batching`; beyond it, submits raise Overloaded. `max_flushes` bounds the calls
    in flight, except that of `quick`, which is for services whose calls have no price. Items with equal keys never
    share a batch: DynamoDB rejects two statements on one key. If a caller is cancelled, its item is dropped if it is
    still pending, and committed otherwise. If `commit` raises RequestRejected, each item is sent alone, because one of
    them may be the cause.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[Sequence[T]], Awaitable[Sequence[ItemResult[R]]]],
        *,
        max_batch: int,
        max_bytes: float = math.inf,
        size: Callable[[T], int] | None = None,
        batching: Batching = NO_LINGER,
        max_pending: int | None = None,
        max_flushes: int = 4,
        max_attempts: int = 5,
        key: Callable[[T], Hashable] = id,
        quick: bool = False,
    ) -> None:
        self._commit = commit
        self._max_batch = min(max_batch, batching.max_batch)
        self._max_bytes = max_bytes
        self._size = size
        self._linger = batching.linger
        self._max_pending = batching.max_pending if max_pending is None else max_pending
        self._max_flushes = max_flushes
        self._max_attempts = max_attempts
        self._key = key
        self._busy_from = self._max_batch if quick else math.inf
        self._customers: dict[str, _Customer[T, R]] = {}
        self._busy_customers = 0
        """Customers that hold `_busy_from` items or more."""
        self._pending = FairQueue[_Pending[T, R]]()
        self._quick = FairQueue[_Pending[T, R]]()
        """Items of customers that held less while others held a whole batch."""
        self._quick_line = Line[_Pending[T, R]]()
        self._flushes: set[asyncio.Task[None]] = set()
        self._quick_flush: asyncio.Task[None] | None = None
        self._scheduled: asyncio.Handle | None = None
        self._last_batch = 0
        self._name = name
        self._batch_size = GROUP_COMMIT_BATCH_SIZE.labels(name)
        self._retries = GROUP_COMMIT_RETRIES.labels(name)

    async def submit(self, item: T, customer_id: str = "") -> R:
        """Commit one item and return its value. Raises its error, Overloaded or DependencyUnavailable.

        Items without a customer count as those of one.
        """
        return await self.submit_nowait(item, customer_id)

    def submit_nowait(self, item: T, customer_id: str = "") -> asyncio.Future[R]:
        """Submit an item without a task: the future has the result of `submit`. Raises Overloaded at once."""
        if self._pending.length + self._quick.length >= self._max_pending:
            raise Overloaded(f"{self._name}: {self._max_pending} items wait already")
        customer = self._customers.get(customer_id)
        if customer is None:
            customer = self._customers[customer_id] = _Customer(customer_id)
        customer.held += 1
        future: asyncio.Future[R] = self._loop.create_future()
        pending = _Pending(item, self._key(item), future, customer, customer.line)
        if self._busy_customers and customer.held < self._busy_from:
            self._append_quick(pending)
            return future
        if customer.held == self._busy_from:
            self._busy_customers += 1
        self._pending.append(customer.line, pending)
        if not self._flushes or self._pending.length >= self._max_batch:
            self._schedule_flush()
        return future

    def _append_quick(self, pending: _Pending[T, R]) -> None:
        pending.line = self._quick_line
        self._quick.append(pending.line, pending)
        if self._quick_flush is None:
            self._flush_quick()

    def _flush_quick(self) -> None:
        batch = self._take_batch(self._quick)
        if batch:
            self._quick_flush = self._loop.create_task(
                self._send(batch, self._quick), name=f"flush {self._name}"
            )
            self._quick_flush.add_done_callback(self._quick_flushed)

    def _quick_flushed(self, flush: asyncio.Task[None]) -> None:
        self._quick_flush = None
        if not flush.cancelled():
            self._flush_quick()

    def _settle(self, pending: _Pending[T, R]) -> None:
        """Note that an item is neither pending nor in flight any more."""
        customer = pending.customer
        if customer.held == self._busy_from:
            self._busy_customers -= 1
        customer.held -= 1
        if not customer.held:
            del self._customers[customer.id]

    async def drain(self) -> None:
        """Wait until no item is pending and no call is in flight."""
        while self._pending.length or self._quick.length or self._flushes or self._quick_flush:
            flushes = set(self._flushes)
            if self._quick_flush is not None:
                flushes.add(self._quick_flush)
            if flushes:
                await asyncio.wait(flushes)
            else:
                self._flush()

    def _schedule_flush(self) -> None:
        """Start all flushes that are due. Called after each submit and after each call."""
        while self._pending.length >= self._max_batch and len(self._flushes) < self._max_flushes:
            self._flush()
        if self._pending.length and not self._flushes and self._scheduled is None:
            if self._linger and self._last_batch > 1:
                self._scheduled = self._loop.call_later(self._linger, self._flush)
            else:
                self._scheduled = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        # Items that this batch has no room for wait for the next flush.
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        batch = self._take_batch(self._pending)
        if batch:
            self._last_batch = len(batch)
            flush = self._loop.create_task(
                self._send(batch, self._pending), name=f"flush {self._name}"
            )
            self._flushes.add(flush)
            flush.add_done_callback(self._flushed)

    def _flushed(self, flush: asyncio.Task[None]) -> None:
        self._flushes.discard(flush)
        if not flush.cancelled():  # A flush is cancelled only when the event loop is closed.
            self._schedule_flush()

    def _take_batch(self, queue: FairQueue[_Pending[T, R]]) -> list[_Pending[T, R]]:
        batch: list[_Pending[T, R]] = []
        keys: set[Hashable] = set()
        skipped: list[_Pending[T, R]] = []
        max_skipped = _MAX_SKIPPED_BATCHES * self._max_batch
        size = 0
        while queue.length and len(batch) < self._max_batch and len(skipped) < max_skipped:
            pending = queue.popleft()
            if pending.future.cancelled():
                self._settle(pending)
                continue
            if pending.key in keys:
                skipped.append(pending)
                continue
            if self._size is not None:
                size += self._size(pending.item)
                if batch and size > self._max_bytes:
                    queue.appendleft(pending.line, pending)
                    break
            keys.add(pending.key)
            batch.append(pending)
        _return(queue, skipped)
        return batch

    async def _send(self, batch: list[_Pending[T, R]], queue: FairQueue[_Pending[T, R]]) -> None:
        """Commit a batch. Items to retry return to the queue from which they were taken."""
        self._batch_size.observe(len(batch))
        try:
            results = await self._commit([pending.item for pending in batch])
            pairs = list(zip(batch, results, strict=True))
        except RequestRejected as rejection:
            if len(batch) == 1:
                self._fail(batch[0], rejection)
                return
            for pending in batch:
                await self._send([pending], queue)
        except Exception as error:  # noqa: BLE001  whatever it is, every caller must get it
            for pending in batch:
                self._fail(pending, error)
        else:
            retries = [pending for pending, result in pairs if not self._resolve(pending, result)]
            if retries:
                await self._requeue(retries, queue)

    def _resolve(self, pending: _Pending[T, R], result: ItemResult[R]) -> bool:
        """Return False if the item must be retried."""
        if isinstance(result, Ok):
            self._settle(pending)
            if not pending.future.done():
                pending.future.set_result(result.value)
        elif isinstance(result, Failed):
            self._fail(pending, result.error)
        else:
            pending.attempts += 1
            if pending.attempts < self._max_attempts:
                self._retries.inc()
                return False
            self._fail(pending, DependencyUnavailable(f"{self._name}: {result.reason}"))
        return True

    async def _requeue(
        self, retries: list[_Pending[T, R]], queue: FairQueue[_Pending[T, R]]
    ) -> None:
        # The flush itself sleeps and counts as in flight, so a throttled service gets fewer calls meanwhile.
        await asyncio.sleep(_BACKOFF.delay(max(pending.attempts for pending in retries)))
        _return(queue, retries)

    def _fail(self, pending: _Pending[T, R], error: BaseException) -> None:
        self._settle(pending)
        if not pending.future.done():
            pending.future.set_exception(error)


def _return(queue: FairQueue[_Pending[T, R]], items: Sequence[_Pending[T, R]]) -> None:
    for pending in reversed(items):
        queue.appendleft(pending.line, pending)

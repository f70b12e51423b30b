"""A micro-batcher: items submitted by many callers share few calls.

A batch is flushed in one of two cases:

    full     a whole batch is pending: it is flushed at once, beside up to `max_flushes` - 1 calls in flight
    partial  fewer items are pending and no call is in flight: they are flushed after one turn of the event loop, or,
             if the last call had more than one item, after up to `linger` seconds

Otherwise items wait for a call to end. So an idle process adds no delay, and a busy process fills its batches.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.errors import DependencyUnavailable, Overloaded, RequestRejected
from core.resilience.backoff import Backoff
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
    attempts: int = 0


class Batcher(LoopBound, Generic[T, R]):
    """Sends items in batches through `commit`, which returns one result per item, in order.

    `max_batch` is the API's limit of items in a call, and `max_bytes` that of their sizes together; a larger item
    is sent alone. `size` returns the bytes of an item; without it they are not counted. `max_pending` bounds the
    pending items, by default to that of `batching`; beyond it, submits raise Overloaded. Items with equal keys never
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
        self._pending: deque[_Pending[T, R]] = deque()
        self._flushes: set[asyncio.Task[None]] = set()
        self._scheduled: asyncio.Handle | None = None
        self._last_batch = 0
        self._name = name
        self._batch_size = GROUP_COMMIT_BATCH_SIZE.labels(name)
        self._retries = GROUP_COMMIT_RETRIES.labels(name)

    async def submit(self, item: T) -> R:
        """Commit one item and return its value. Raises its error, Overloaded or DependencyUnavailable."""
        return await self.submit_nowait(item)

    def submit_nowait(self, item: T) -> asyncio.Future[R]:
        """Submit an item without a task: the future has the result of `submit`. Raises Overloaded at once."""
        if len(self._pending) >= self._max_pending:
            raise Overloaded(f"{self._name}: {self._max_pending} items wait already")
        future: asyncio.Future[R] = self._loop.create_future()
        self._pending.append(_Pending(item, self._key(item), future))
        if not self._flushes or len(self._pending) >= self._max_batch:
            self._schedule_flush()
        return future

    async def drain(self) -> None:
        """Wait until no item is pending and no call is in flight."""
        while self._pending or self._flushes:
            if self._flushes:
                await asyncio.wait(self._flushes)
            else:
                self._flush()

    def _schedule_flush(self) -> None:
        """Start all flushes that are due. Called after each submit and after each call."""
        while len(self._pending) >= self._max_batch and len(self._flushes) < self._max_flushes:
            self._flush()
        if self._pending and not self._flushes and self._scheduled is None:
            if self._linger and self._last_batch > 1:
                self._scheduled = self._loop.call_later(self._linger, self._flush)
            else:
                self._scheduled = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        # Items that this batch has no room for wait for the next flush.
        if self._scheduled is not None:
            self._scheduled.cancel()
            self._scheduled = None
        batch = self._take_batch()
        if batch:
            self._last_batch = len(batch)
            flush = self._loop.create_task(self._send(batch), name=f"flush {self._name}")
            self._flushes.add(flush)
            flush.add_done_callback(self._flushed)

    def _flushed(self, flush: asyncio.Task[None]) -> None:
        self._flushes.discard(flush)
        if not flush.cancelled():  # A flush is cancelled only when the event loop is closed.
            self._schedule_flush()

    def _take_batch(self) -> list[_Pending[T, R]]:
        batch: list[_Pending[T, R]] = []
        keys: set[Hashable] = set()
        skipped: list[_Pending[T, R]] = []
        max_skipped = _MAX_SKIPPED_BATCHES * self._max_batch
        size = 0
        while self._pending and len(batch) < self._max_batch and len(skipped) < max_skipped:
            pending = self._pending.popleft()
            if pending.future.cancelled():
                continue
            if pending.key in keys:
                skipped.append(pending)
                continue
            if self._size is not None:
                size += self._size(pending.item)
                if batch and size > self._max_bytes:
                    self._pending.appendleft(pending)
                    break
            keys.add(pending.key)
            batch.append(pending)
        self._pending.extendleft(reversed(skipped))
        return batch

    async def _send(self, batch: list[_Pending[T, R]]) -> None:
        self._batch_size.observe(len(batch))
        try:
            results = await self._commit([pending.item for pending in batch])
            pairs = list(zip(batch, results, strict=True))
        except RequestRejected as rejection:
            await self._send_one_by_one(batch, rejection)
        except Exception as error:  # noqa: BLE001  whatever it is, every caller must get it
            for pending in batch:
                _fail(pending, error)
        else:
            retries = [pending for pending, result in pairs if not self._resolve(pending, result)]
            if retries:
                await self._requeue(retries)

    async def _send_one_by_one(
        self, batch: list[_Pending[T, R]], rejection: RequestRejected
    ) -> None:
        if len(batch) == 1:
            _fail(batch[0], rejection)
            return
        for pending in batch:
            await self._send([pending])

    def _resolve(self, pending: _Pending[T, R], result: ItemResult[R]) -> bool:
        """Return False if the item must be retried."""
        if isinstance(result, Ok):
            if not pending.future.done():
                pending.future.set_result(result.value)
        elif isinstance(result, Failed):
            _fail(pending, result.error)
        else:
            pending.attempts += 1
            if pending.attempts < self._max_attempts:
                self._retries.inc()
                return False
            _fail(pending, DependencyUnavailable(f"{self._name}: {result.reason}"))
        return True

    async def _requeue(self, retries: list[_Pending[T, R]]) -> None:
        # The flush itself sleeps and counts as in flight, so a throttled service gets fewer calls meanwhile.
        await asyncio.sleep(_BACKOFF.delay(max(pending.attempts for pending in retries)))
        self._pending.extendleft(reversed(retries))


def _fail(pending: _Pending[T, R], error: BaseException) -> None:
    if not pending.future.done():
        pending.future.set_exception(error)

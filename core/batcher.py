"""Many callers, few calls: items that wait together are committed together.

What waits leaves in one of two ways:

    full       a whole batch waits: it leaves at once, beside up to `max_flushes` - 1 calls under way
    gathered   less waits and no call is under way: it leaves after one turn of the event loop; where the last call was
               shared, after up to `linger`

What is neither waits for the end of a call. So an idle process adds no delay, and a busy one fills its batches.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from core.errors import DependencyUnavailable, Overloaded
from core.resilience.backoff import Backoff
from core.runtime.metrics import GROUP_COMMIT_BATCH_SIZE, GROUP_COMMIT_RETRIES

T = TypeVar("T")
R = TypeVar("R")


class BatchRejected(Exception):
    """The call as a whole was refused (a request-level 400): one item may be to blame, so each is sent alone."""


@dataclass(frozen=True, slots=True)
class Done(Generic[R]):
    value: R


@dataclass(frozen=True, slots=True)
class Refused:
    """This item failed for good; its caller gets `error`."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Again:
    """This item was throttled or hit an internal error inside a successful call; it is tried again."""

    reason: str


Outcome = Done[R] | Refused | Again
DONE = Done(None)
"""Of an item that has no value to answer."""

_BACKOFF = Backoff(0.1, 2.0)
_PASSED_OVER = 4
"""Batches' worth of items that one batch may pass over because their keys are in it: many with one key must not all be
looked at for each that leaves."""


@dataclass(frozen=True, slots=True)
class Batching:
    """How much shares a call. `linger` is in seconds; a `max_batch` above the API's limit is cut to it.

    A batch of one is no group commit at all; it is there to be compared with.
    """

    max_batch: int = 100
    linger: float = 0.0


NO_LINGER = Batching()


@dataclass(slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    key: Hashable
    future: asyncio.Future[R]
    attempts: int = 0


class Batcher(Generic[T, R]):
    """Commits items in batches through `commit`, which answers one outcome per item, in order.

    `max_batch` is the API's limit of items a call; `max_pending` bounds what waits, beyond it `submit` raises
    Overloaded. Items of equal `key` never share a batch (DynamoDB refuses two statements on one key). A caller that
    is cancelled takes its item back only while that still waits; once taken it is committed all the same.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[Sequence[T]], Awaitable[Sequence[Outcome[R]]]],
        *,
        max_batch: int,
        batching: Batching = NO_LINGER,
        max_pending: int = 10_000,
        max_flushes: int = 4,
        max_attempts: int = 5,
        key: Callable[[T], Hashable] = id,
    ) -> None:
        self._commit = commit
        self._max_batch = min(max_batch, batching.max_batch)
        self._linger = batching.linger
        self._max_pending = max_pending
        self._max_flushes = max_flushes
        self._max_attempts = max_attempts
        self._key = key
        self._pending: deque[_Waiting[T, R]] = deque()
        self._flushes: set[asyncio.Task[None]] = set()
        self._gathering: asyncio.Handle | None = None
        self._last_batch = 0
        self._name = name
        self._batch_size = GROUP_COMMIT_BATCH_SIZE.labels(name)
        self._retries = GROUP_COMMIT_RETRIES.labels(name)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        # Kept, because asking costs a system call each time (until Python 3.12 it compares process ids).
        return asyncio.get_running_loop()

    async def submit(self, item: T) -> R:
        """Commit one item. Raises what its outcome says, Overloaded, or DependencyUnavailable."""
        return await self.begin(item)

    def begin(self, item: T) -> asyncio.Future[R]:
        """Like `submit`, without a task: the future ends as `submit` would. Raises Overloaded at once."""
        if len(self._pending) >= self._max_pending:
            raise Overloaded(f"{self._name}: {self._max_pending} items wait already")
        future: asyncio.Future[R] = self._loop.create_future()
        self._pending.append(_Waiting(item, self._key(item), future))
        self._send_off()
        return future

    async def drain(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._pending or self._flushes:
            if self._flushes:
                await asyncio.wait(self._flushes)
            else:
                self._flush()

    def _send_off(self) -> None:
        """Let leave what may leave; to be called whenever something came or a call ended."""
        while len(self._pending) >= self._max_batch and len(self._flushes) < self._max_flushes:
            self._flush()
        if self._pending and not self._flushes and self._gathering is None:
            if self._linger and self._last_batch > 1:
                self._gathering = self._loop.call_later(self._linger, self._flush)
            else:
                self._gathering = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        # Whichever batch leaves, what it leaves over gathers behind it.
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        batch = self._take()
        if batch:
            self._last_batch = len(batch)
            flush = self._loop.create_task(self._settle(batch), name=f"flush {self._name}")
            self._flushes.add(flush)
            flush.add_done_callback(self._flushed)

    def _flushed(self, flush: asyncio.Task[None]) -> None:
        self._flushes.discard(flush)
        if not flush.cancelled():  # Else the event loop is being closed.
            self._send_off()

    def _take(self) -> list[_Waiting[T, R]]:
        batch: list[_Waiting[T, R]] = []
        keys: set[Hashable] = set()
        put_back: list[_Waiting[T, R]] = []
        passed_over = _PASSED_OVER * self._max_batch
        while self._pending and len(batch) < self._max_batch and len(put_back) < passed_over:
            waiting = self._pending.popleft()
            if waiting.future.cancelled():
                continue
            if waiting.key in keys:
                put_back.append(waiting)
                continue
            keys.add(waiting.key)
            batch.append(waiting)
        self._pending.extendleft(reversed(put_back))
        return batch

    async def _settle(self, batch: list[_Waiting[T, R]]) -> None:
        self._batch_size.observe(len(batch))
        try:
            outcomes = await self._commit([waiting.item for waiting in batch])
            settled = list(zip(batch, outcomes, strict=True))
        except BatchRejected as refusal:
            await self._settle_alone(batch, refusal)
        except Exception as error:  # noqa: BLE001  every caller must hear of it, whatever it is
            for waiting in batch:
                _fail(waiting, error)
        else:
            again = [waiting for waiting, outcome in settled if not self._resolve(waiting, outcome)]
            if again:
                await self._put_back(again)

    async def _settle_alone(self, batch: list[_Waiting[T, R]], refusal: BatchRejected) -> None:
        if len(batch) == 1:
            _fail(batch[0], refusal.__cause__ or refusal)
            return
        for waiting in batch:
            await self._settle([waiting])

    def _resolve(self, waiting: _Waiting[T, R], outcome: Outcome[R]) -> bool:
        if isinstance(outcome, Done):
            if not waiting.future.done():
                waiting.future.set_result(outcome.value)
        elif isinstance(outcome, Refused):
            _fail(waiting, outcome.error)
        else:
            waiting.attempts += 1
            if waiting.attempts < self._max_attempts:
                self._retries.inc()
                return False
            _fail(waiting, DependencyUnavailable(f"{self._name}: {outcome.reason}"))
        return True

    async def _put_back(self, again: list[_Waiting[T, R]]) -> None:
        # The flush itself waits: what is throttled is not hammered by the next batch either.
        await asyncio.sleep(_BACKOFF.delay(max(waiting.attempts for waiting in again)))
        self._pending.extendleft(reversed(again))


def _fail(waiting: _Waiting[T, R], error: BaseException) -> None:
    if not waiting.future.done():
        waiting.future.set_exception(error)

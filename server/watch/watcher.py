"""One watcher per process: it polls the watched requests of all streams together."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager

import structlog

from core.dynamodb.tables import MAX_KEYS, Tables
from core.errors import MalformedRow
from core.resilience.fair_gate import FairGate
from core.resilience.fair_share import FairShare
from core.runtime.clock import now_ms
from core.runtime.logging import LogThrottle
from server.capacity import Capacity
from server.errors import ServerDraining, TooManyWatched
from server.status.reader import Status, StatusReader
from server.watch.refresher import EventRefresher
from server.watch.schedule import PollIntervals, PollScheduler
from server.watch.subscription import Subscription, WatchedRequests

MAX_POLL_CALLS = 8
"""Calls of up to MAX_KEYS ids in progress."""

_ERROR_LOG_INTERVAL_S = 10.0

_MAX_ARRIVALS = 64
"""New streams whose first request is read, in the order of their arrival: their customers are not known yet."""
_MAX_FIRST_READS = 24
"""New streams of up to 100 ids whose other requests are read, and three more for customers below their share. More
would fill the queue of reads, and other calls would be rejected."""

_log = structlog.get_logger()


class Watcher:
    """Serves WatchRequest. `run` must be running for changes to arrive. `max_watched` is MAX_WATCHED_REQUESTS."""

    def __init__(
        self, tables: Tables, statuses: StatusReader, intervals: PollIntervals, *, max_watched: int
    ) -> None:
        self._tables = tables
        self._statuses = statuses
        self._intervals = intervals
        self._scheduler = PollScheduler(intervals, MAX_KEYS)
        self._watched = WatchedRequests()
        self._capacity = Capacity("watched requests", max_watched, error=TooManyWatched)
        self._arrivals = asyncio.Semaphore(_MAX_ARRIVALS)
        self._first_reads = FairGate(FairShare(_MAX_FIRST_READS))
        self._refresher = EventRefresher(self._try_refresh)
        self._subscriptions: set[Subscription] = set()
        self._poll_calls = asyncio.Semaphore(MAX_POLL_CALLS)
        self._failed_polls = 0
        self._error_throttle = LogThrottle(_ERROR_LOG_INTERVAL_S)

    @property
    def watched(self) -> int:
        return len(self._watched)

    @asynccontextmanager
    async def subscribe(self, request_ids: Sequence[str]) -> AsyncIterator[Subscription]:
        """Watch distinct ids. The subscription already contains the current state of each.

        All ids count for the customer of the first one: nearly every stream is about one customer, and a stream that is
        rejected costs one read. Raises RequestNotFound, TooManyWatched, Overloaded or DependencyUnavailable.
        """
        subscription, count = Subscription(request_ids), len(request_ids)
        with ExitStack() as held:
            async with self._arrivals:
                # Read after `add`, so that no change between this read and the first poll is missed.
                self._watched.add(subscription, request_ids)
                self._subscriptions.add(subscription)
                held.callback(self._remove, subscription, request_ids)
                status = await self._statuses.read(request_ids[0])
                self._push(status)
                customer_id = status.request.customer_id
                self._capacity.require(customer_id, count)
                held.callback(self._capacity.release, customer_id, count)
            async with self._first_reads.slot(customer_id):
                await asyncio.gather(*(self._refresh(each) for each in request_ids[1:]))
            yield subscription

    def _remove(self, subscription: Subscription, request_ids: Sequence[str]) -> None:
        self._subscriptions.discard(subscription)
        for request_id in self._watched.remove(subscription, request_ids):
            self._scheduler.remove(request_id)

    def begin_drain(self) -> None:
        """End every stream with ServerDraining."""
        draining = ServerDraining("This server shuts down; watch again.")
        for subscription in self._subscriptions:
            subscription.close_with(draining)

    def refresh_now(self, request_id: str, revision: int) -> None:
        """Read a request now if it is watched and the announced revision is new."""
        if request_id not in self._watched:
            return
        status = self._watched.status(request_id)
        # If the first read is in progress, it may have started before this revision was written.
        if status is None or revision > status.request.revision:
            self._refresher.announce(request_id, revision)

    async def run(self) -> None:
        while True:
            await self._watched.present.wait()
            await asyncio.sleep(await self._poll())

    async def _poll(self) -> float:
        """Poll the requests that are due. Return the seconds to wait before the next poll."""
        due = self._scheduler.due(self._now())
        batches = [due[start : start + MAX_KEYS] for start in range(0, len(due), MAX_KEYS)]
        try:
            await asyncio.gather(*(self._poll_batch(batch) for batch in batches))
        except Exception as error:  # noqa: BLE001  no error may end all watches of this process
            return self._on_failed_poll(error)
        if self._failed_polls:
            _log.info("watch polling recovered", failures=self._failed_polls)
            self._failed_polls = 0
        return self._intervals.tick

    def _on_failed_poll(self, error: Exception) -> float:
        self._failed_polls += 1
        if self._failed_polls == 1:
            _log.warning("watch polling failed", error=str(error))
        # Jitter is added to the usual interval, so that it never shortens the wait after a failure.
        return self._intervals.shortest + self._intervals.backoff.delay(self._failed_polls)

    async def _poll_batch(self, request_ids: Sequence[str]) -> None:
        changed = await self._changed(request_ids)
        await asyncio.gather(*(self._try_refresh(request_id) for request_id in changed))

    async def _changed(self, request_ids: Sequence[str]) -> list[str]:
        """Return the ids with a new revision; all ids if one row of the batch is malformed."""
        try:
            async with self._poll_calls:
                snapshots = await self._tables.read_statuses(request_ids)
        except MalformedRow:
            snapshots = None
        known = {}
        for request_id in request_ids:
            if (status := self._watched.status(request_id)) is not None:
                self._schedule(status)
                known[request_id] = status.request.revision
        if snapshots is None:
            return list(known)
        return [
            request_id
            for request_id, snapshot in snapshots.items()
            if snapshot.revision > known.get(request_id, math.inf)
        ]

    async def _try_refresh(self, request_id: str) -> None:
        try:
            await self._refresh(request_id)
        except Exception as error:  # noqa: BLE001  an error of one row must not affect the others
            if self._error_throttle.allows():
                _log.warning("watched request unreadable", request_id=request_id, error=str(error))

    async def _refresh(self, request_id: str) -> None:
        self._push(await self._statuses.read(request_id))

    def _push(self, status: Status) -> None:
        latest = self._watched.push(status)
        if latest is not None:
            self._schedule(latest)

    def _schedule(self, status: Status) -> None:
        request = status.request
        age = (now_ms() - request.updated_at) / 1000
        self._scheduler.schedule(request.request_id, request.state, age, self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

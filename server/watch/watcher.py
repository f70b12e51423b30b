"""One watcher per process: every watched id is read with the others, never by a poll per stream."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from core.dynamodb.tables import MAX_KEYS, Tables
from core.errors import MalformedRow
from core.runtime.clock import now_ms
from server.errors import ServerDraining, TooManyWatched
from server.metrics import WATCHED_REQUESTS
from server.status.reader import Status, StatusReader
from server.watch.schedule import WatchSchedule, to_read
from server.watch.subscription import Subscription

log = structlog.get_logger()

MAX_READS_AT_ONCE = 8
"""Calls of MAX_KEYS ids under way."""

_SILENCE_S = 10.0
"""Time after a line about a row that cannot be read in which there is no further one."""


@dataclass(slots=True, eq=False)
class _Watched:
    """`due` is on the loop's clock; infinite before the first read and where nothing can change any more."""

    subscriptions: set[Subscription] = field(default_factory=set)
    status: Status | None = None
    due: float = math.inf


class Watcher:
    """`max_watched` bounds the ids of all streams together, an id counted once for each stream.

    `run` must be running for states to arrive. An id is forgotten with its last stream.
    """

    def __init__(
        self, tables: Tables, statuses: StatusReader, schedule: WatchSchedule, *, max_watched: int
    ) -> None:
        self._tables = tables
        self._statuses = statuses
        self._schedule = schedule
        self._max_watched = max_watched
        self._watched: dict[str, _Watched] = {}
        self._subscriptions: set[Subscription] = set()
        self._places_taken = 0
        self._anything = asyncio.Event()
        self._closed: ServerDraining | None = None
        self._failures = 0
        self._reads = asyncio.Semaphore(MAX_READS_AT_ONCE)
        self._next_part = 0.0
        """From when on a call that is not full may leave."""
        self._silent_until = 0.0
        self._hastened: dict[str, int] = {}
        """Revisions that were heard of and are being read."""
        self._hurries: set[asyncio.Task[None]] = set()

    @property
    def watched(self) -> int:
        """How many ids are watched."""
        return len(self._watched)

    @asynccontextmanager
    async def subscribe(self, request_ids: Sequence[str]) -> AsyncIterator[Subscription]:
        """A stream over distinct ids, in which the current state of each waits already.

        Raises RequestNotFound, TooManyWatched, ServerDraining, Overloaded or DependencyUnavailable.
        """
        if self._closed is not None:
            raise self._closed
        if self._places_taken + len(request_ids) > self._max_watched:
            raise TooManyWatched(f"This server watches {self._places_taken} requests already.")
        subscription = Subscription(request_ids)
        self._enter(subscription, request_ids)
        try:
            # After entering, so that a change between this read and the first round is not missed.
            await asyncio.gather(*(self._refresh(request_id) for request_id in request_ids))
            yield subscription
        finally:
            self._leave(subscription, request_ids)

    def close(self) -> None:
        """End every stream, and refuse further ones, with ServerDraining."""
        self._closed = ServerDraining("This server is about to end; watch again.")
        for subscription in self._subscriptions:
            subscription.end(self._closed)

    def hasten(self, request_id: str, revision: int) -> None:
        """Read a request now that is said to be at `revision`, if it is watched and that is news."""
        watched = self._watched.get(request_id)
        if watched is None or self._closed is not None:
            return
        # Where the first read is under way still, it may have begun before that revision was written.
        if watched.status is not None and revision <= watched.status.request.revision:
            return
        under_way = request_id in self._hastened
        self._hastened[request_id] = max(revision, self._hastened.get(request_id, 0))
        if not under_way:
            hurry = asyncio.create_task(self._hurry(request_id), name="hastened read")
            self._hurries.add(hurry)
            hurry.add_done_callback(self._hurries.discard)

    async def run(self) -> None:
        """Read what is due, for ever."""
        while True:
            await self._anything.wait()
            await asyncio.sleep(await self._round())

    def _enter(self, subscription: Subscription, request_ids: Sequence[str]) -> None:
        self._subscriptions.add(subscription)
        self._places_taken += len(request_ids)
        for request_id in request_ids:
            watched = self._watched.setdefault(request_id, _Watched())
            watched.subscriptions.add(subscription)
        self._anything.set()
        WATCHED_REQUESTS.set(len(self._watched))

    def _leave(self, subscription: Subscription, request_ids: Sequence[str]) -> None:
        self._subscriptions.discard(subscription)
        self._places_taken -= len(request_ids)
        for request_id in request_ids:
            watched = self._watched[request_id]
            watched.subscriptions.discard(subscription)
            if not watched.subscriptions:
                del self._watched[request_id]
        if not self._watched:
            self._anything.clear()
        WATCHED_REQUESTS.set(len(self._watched))

    async def _round(self) -> float:
        """Read what is due once; return the seconds to wait before the next round."""
        due = self._due()
        chunks = [due[start : start + MAX_KEYS] for start in range(0, len(due), MAX_KEYS)]
        try:
            await asyncio.gather(*(self._look(chunk) for chunk in chunks))
        except Exception as error:  # noqa: BLE001  whatever it is, it must not end every watch of this process
            return self._failed(error)
        if self._failures:
            log.info("watching goes on", failures=self._failures)
            self._failures = 0
        return self._schedule.tick

    def _due(self) -> list[str]:
        """Who is to be read now, the most overdue first, and then whoever will be within a tick."""
        now = self._now()
        candidates = sorted(
            (watched.due, request_id)
            for request_id, watched in self._watched.items()
            if watched.due <= now + self._schedule.tick
        )
        overdue = sum(due <= now for due, _ in candidates)
        count = to_read(overdue, call_size=MAX_KEYS, waited_enough=now >= self._next_part)
        if count > overdue:
            self._next_part = now + self._schedule.shortest
        return [request_id for _, request_id in candidates[:count]]

    def _failed(self, error: Exception) -> float:
        self._failures += 1
        if self._failures == 1:
            log.warning("watched requests cannot be read", error=str(error))
        # At least the usual pause: jitter spreads servers, it must not make a failing one eager.
        return self._schedule.shortest + self._schedule.backoff.delay(self._failures)

    async def _look(self, request_ids: Sequence[str]) -> None:
        risen = await self._risen(request_ids)
        await asyncio.gather(*(self._try_refresh(request_id) for request_id in risen))

    async def _risen(self, request_ids: Sequence[str]) -> list[str]:
        """Whose revision is above the one that we know; everybody, where one row among them makes no sense."""
        known = {}
        try:
            async with self._reads:
                glances = await self._tables.read_statuses(request_ids)
        except MalformedRow:
            glances = None
        for request_id in request_ids:
            watched = self._watched.get(request_id)
            if watched is not None and watched.status is not None:
                self._reschedule(watched, watched.status)
                known[request_id] = watched.status.request.revision
        if glances is None:
            return list(known)
        return [
            each
            for each, read_statuses in glances.items()
            if read_statuses.revision > known.get(each, math.inf)
        ]

    async def _hurry(self, request_id: str) -> None:
        wanted = 0
        # What is heard of during a read may be later than what that read found.
        while wanted < (latest := self._hastened[request_id]):
            wanted = latest
            await self._try_refresh(request_id)
        del self._hastened[request_id]

    async def _try_refresh(self, request_id: str) -> None:
        try:
            await self._refresh(request_id)
        except Exception as error:  # noqa: BLE001  whatever is wrong with one row, the others are read as ever
            if self._now() >= self._silent_until:
                self._silent_until = self._now() + _SILENCE_S
                log.warning(
                    "a watched request cannot be read", request_id=request_id, error=str(error)
                )

    async def _refresh(self, request_id: str) -> None:
        """Read the whole state and offer it to everyone who watches."""
        status = await self._statuses.read(request_id)
        watched = self._watched.get(request_id)
        if watched is None:
            return
        if watched.status is None or status.request.revision > watched.status.request.revision:
            watched.status = status
        self._reschedule(watched, watched.status)
        for subscription in watched.subscriptions:
            subscription.offer(watched.status)

    def _reschedule(self, watched: _Watched, status: Status) -> None:
        age = (now_ms() - status.request.updated_at) / 1000
        interval = self._schedule.interval(status.request.state, age)
        watched.due = self._now() + interval

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

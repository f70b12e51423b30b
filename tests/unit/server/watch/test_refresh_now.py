"""An event for a watched request triggers a read at once."""

import asyncio
import uuid
from typing import Any, cast

from core.dynamodb.tables import StatusSnapshot, Tables
from core.model.request import ImageRequest, State, new_request
from core.runtime.clock import now_ms
from harness.virtual_time import run_virtually
from server.status.cache import CompletedCache
from server.status.reader import StatusReader
from server.watch.schedule import PollIntervals
from server.watch.watcher import Watcher

READ_S = 0.01


class Row:
    """A table with one row. A read returns the revision as it was at its start; polls never happen in time."""

    def __init__(self) -> None:
        self.request_id = str(uuid.uuid4())
        self.revision = 1
        self.reads = 0

    async def read_statuses(self, _: object) -> dict[str, StatusSnapshot]:
        return {self.request_id: StatusSnapshot(State.PENDING, self.revision)}

    async def read_request(self, request_id: str) -> ImageRequest:
        self.reads += 1
        seen = self.revision
        await asyncio.sleep(READ_S)
        known = new_request(
            request_id=request_id, customer_id="acme", url="u", labels={}, now=now_ms()
        )
        return ImageRequest(**{**{n: getattr(known, n) for n in known.__slots__}, "revision": seen})


def watcher_of(row: Row) -> Watcher:
    tables = cast("Tables", cast("Any", row))
    statuses = StatusReader(tables, "http://i/", CompletedCache(0, 1))
    return Watcher(tables, statuses, PollIntervals(600, 600), max_watched=10)


def test_the_last_of_several_events_is_read() -> None:
    """Also if a read for an earlier event, or the first read of the watch, is in progress."""

    async def listen() -> tuple[list[int], int]:
        row = Row()
        watcher = watcher_of(row)
        seen: list[int] = []
        entering = watcher.subscribe([row.request_id])
        opening = asyncio.create_task(entering.__aenter__())
        await asyncio.sleep(READ_S / 2)
        row.revision = 2
        watcher.refresh_now(row.request_id, 2)
        subscription = await opening
        while not seen or seen[-1] < 2:
            status = await subscription.next_status()
            assert status is not None
            seen.append(status.request.revision)
        row.revision = 3
        watcher.refresh_now(row.request_id, 3)
        await asyncio.sleep(READ_S / 2)
        row.revision = 4
        watcher.refresh_now(row.request_id, 4)
        while seen[-1] < 4:
            status = await subscription.next_status()
            assert status is not None
            seen.append(status.request.revision)
        elapsed = asyncio.get_running_loop().time()
        await entering.__aexit__(None, None, None)
        assert elapsed < 1
        return seen, row.reads

    seen, reads = run_virtually(listen())
    assert seen == [1, 2, 3, 4]
    assert reads == 4


def test_known_or_unwatched_revisions_are_not_read() -> None:
    """A duplicate, an older revision, an event for another request, and one after the end of the watch."""

    async def listen() -> int:
        row = Row()
        row.revision = 2
        watcher = watcher_of(row)
        async with watcher.subscribe([row.request_id]):
            for revision in (1, 2, 2):
                watcher.refresh_now(row.request_id, revision)
            watcher.refresh_now(str(uuid.uuid4()), 9)
            await asyncio.sleep(1)
        watcher.refresh_now(row.request_id, 9)
        await asyncio.sleep(1)
        return row.reads

    assert run_virtually(listen()) == 1


def test_a_revision_that_never_comes_is_read_once() -> None:
    """An event with a wrong revision costs one read and no loop."""

    async def listen() -> int:
        row = Row()
        watcher = watcher_of(row)
        async with watcher.subscribe([row.request_id]):
            watcher.refresh_now(row.request_id, 1_000)
            await asyncio.sleep(1)
        return row.reads

    assert run_virtually(listen()) == 2

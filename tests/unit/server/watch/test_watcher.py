"""A watched row that cannot be read is nobody else's trouble."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

from core.dynamodb.tables import StatusSnapshot, Tables
from core.errors import DependencyUnavailable, MalformedRow
from core.model.request import ImageRequest, State, new_request
from core.runtime.clock import now_ms
from harness.virtual_time import run_virtually
from server.status.cache import CompletedCache
from server.status.reader import StatusReader
from server.watch.schedule import PollIntervals
from server.watch.watcher import Watcher

SHORTEST = 0.25


class Rows:
    """The table as a watcher sees it. A row of `lost` can be glanced at but not read, one of `garbled` neither."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.revisions = dict.fromkeys(ids, 1)
        self.lost: set[str] = set()
        self.garbled: set[str] = set()
        self.glanced_at: list[float] = []

    async def read_statuses(self, request_ids: Sequence[str]) -> dict[str, StatusSnapshot]:
        self.glanced_at.append(asyncio.get_running_loop().time())
        if self.garbled.intersection(request_ids):
            raise MalformedRow("an id", "'ARCHIVED' is not a valid State")
        return {each: StatusSnapshot(State.PENDING, self.revisions[each]) for each in request_ids}

    async def read_request(self, request_id: str) -> ImageRequest:
        if request_id in self.lost | self.garbled:
            raise DependencyUnavailable("the image's record is missing")
        request = new_request(
            request_id=request_id, customer_id="acme", url="u", labels={}, now=now_ms()
        )
        return replace(request, revision=self.revisions[request_id])


async def watched_beside(kind: str) -> list[float]:
    """Watch two ids of which one goes bad; when, in seconds, the other one's rows were looked at until it was told."""
    good, bad = str(uuid.uuid4()), str(uuid.uuid4())
    rows = Rows([good, bad])
    tables = cast("Tables", cast("Any", rows))
    watcher = Watcher(
        tables,
        StatusReader(tables, "http://i/", CompletedCache(0, 1)),
        PollIntervals(SHORTEST, 30),
        max_watched=10,
    )
    running = asyncio.create_task(watcher.run())
    async with watcher.subscribe([good]) as subscription, watcher.subscribe([bad]):
        assert await subscription.next_status() is not None
        getattr(rows, kind).add(bad)
        rows.revisions[bad] = 2
        await asyncio.sleep(60)
        rows.revisions[good] = 2
        told = await subscription.next_status()
        assert told is not None
        assert told.request.revision == 2
    running.cancel()
    return rows.glanced_at


def test_a_row_that_cannot_be_read_slows_nobody() -> None:
    """While an image's record is missing, every other watch is read as often as ever."""
    assert longest_pause(run_virtually(watched_beside("lost"))) < 2 * SHORTEST


def test_a_row_that_makes_no_sense_slows_nobody() -> None:
    """A state that a newer consumer wrote spoils the call it is read in, and nothing else."""
    assert longest_pause(run_virtually(watched_beside("garbled"))) < 2 * SHORTEST


def longest_pause(moments: list[float]) -> float:
    return max(after - before for before, after in pairwise(moments))

"""A malformed or unreadable row does not affect the polling of other rows."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, pairwise
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
    """The table. The status of a `lost` row can be read but its image cannot; a `malformed` row cannot be read."""

    def __init__(self, ids: Sequence[str]) -> None:
        self.revisions = dict.fromkeys(ids, 1)
        self.lost: set[str] = set()
        self.malformed: set[str] = set()
        self.poll_times: list[float] = []

    async def read_statuses(self, request_ids: Sequence[str]) -> dict[str, StatusSnapshot]:
        self.poll_times.append(asyncio.get_running_loop().time())
        if self.malformed.intersection(request_ids):
            raise MalformedRow("an id", "'ARCHIVED' is not a valid State")
        return {each: StatusSnapshot(State.PENDING, self.revisions[each]) for each in request_ids}

    async def read_request(self, request_id: str) -> ImageRequest:
        if request_id in self.lost | self.malformed:
            raise DependencyUnavailable("the image's record is missing")
        request = new_request(
            request_id=request_id, customer_id="acme", url="u", labels={}, now=now_ms()
        )
        return replace(request, revision=self.revisions[request_id])


async def watched_beside(kind: str) -> list[float]:
    """Watch two ids, one of which becomes unreadable. Return the times in seconds at which the rows were polled."""
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
        status = await subscription.next_status()
        assert status is not None
        assert status.request.revision == 2
    running.cancel()
    return rows.poll_times


def test_an_unreadable_row_delays_no_other_watch() -> None:
    """While the image of one request is missing, the other requests are polled as often as before."""
    assert longest_pause(run_virtually(watched_beside("lost"))) < 2 * SHORTEST


def test_a_malformed_row_delays_no_other_watch() -> None:
    """An unknown state, written by a newer consumer, only affects the call that reads it."""
    assert longest_pause(run_virtually(watched_beside("malformed"))) < 2 * SHORTEST


def longest_pause(times: list[float]) -> float:
    return max(after - before for before, after in pairwise(times))


class SlowRows(Rows):
    """A read takes a second. `most` is the largest number of reads at the same time, by customer and in all."""

    def __init__(self, customers: dict[str, str]) -> None:
        super().__init__(list(customers))
        self.customers = customers
        self.reading: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.most_together = 0

    async def read_request(self, request_id: str) -> ImageRequest:
        customer = self.customers[request_id]
        self.reading[customer] += 1
        self.most[customer] = max(self.most[customer], self.reading[customer])
        self.most_together = max(self.most_together, self.reading.total())
        await asyncio.sleep(1)
        self.reading[customer] -= 1
        return replace(await super().read_request(request_id), customer_id=customer)


async def rows_of_many_streams() -> SlowRows:
    """Open 60 streams of 20 requests of one customer, and then one of another customer."""
    streams = [[str(uuid.uuid4()) for _ in range(20)] for _ in range(61)]
    greedy, other = streams[:-1], streams[-1]
    rows = SlowRows(dict.fromkeys(chain(*greedy), "greedy") | dict.fromkeys(other, "other"))
    tables = cast("Tables", cast("Any", rows))
    watcher = Watcher(
        tables,
        StatusReader(tables, "http://i/", CompletedCache(0, 1)),
        PollIntervals(SHORTEST, 30),
        max_watched=5_000,
    )

    async def watch(ids: list[str]) -> float:
        async with watcher.subscribe(ids):
            return asyncio.get_running_loop().time()

    began = await asyncio.gather(*map(watch, streams))
    # It arrives last, and is not served last.
    assert began[-1] < max(began)
    return rows


def test_the_first_reads_of_new_streams_are_bounded() -> None:
    """Those of many streams would fill the queue of reads, which rejects further ones."""
    rows = run_virtually(rows_of_many_streams())
    assert rows.most_together < 600
    assert rows.most["other"] == 19

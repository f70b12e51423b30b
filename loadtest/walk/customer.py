"""Reads all lists of one customer after a snapshot of its requests, and tries their page tokens on another customer."""

import asyncio
import time
from dataclasses import dataclass, replace
from functools import partial

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.figures import Figures
from loadtest.walk.items import WalkItems
from loadtest.walk.lists import PENDING, SEARCHES, ListQuery, Selection, list_queries
from loadtest.walk.pages import Walk, read_list, read_page
from loadtest.walk.retry import with_retries
from loadtest.walk.searches import Searches
from loadtest.walk.snapshot import Snapshot, SnapshotReader
from loadtest.walk.submitter import SteadySubmitter
from loadtest.walk.verification import Verification

INDEX_LAG_S = 2.0
"""Upper bound of the lag of a DynamoDB index behind its table, which is normally far below a second."""


@dataclass(frozen=True, slots=True)
class CustomerWalks:
    """Adds its results to `verification` and `figures`."""

    stub: "pb_grpc.ImageServiceAsyncStub"
    items: WalkItems
    selected: frozenset[Selection]
    progress_timeout: float
    submitter: SteadySubmitter
    snapshots: SnapshotReader
    verification: Verification
    figures: Figures

    async def walk(self, at: int) -> None:
        """Read all selected lists of customer number `at`. Raises AioRpcError."""
        snapshot = await self._snapshot(at)
        times = [entry.created for entry in snapshot.requests.values()]
        searches = Searches(self.stub, self.progress_timeout)
        for query in list_queries(at, self.items.customer_at(at), times, self.selected):
            if query.kind in SEARCHES:
                async for walk, required in searches.walks(query, snapshot):
                    await self._check(at, walk, snapshot, required)
                continue
            walk, current = await read_list(self.stub, query, self.progress_timeout), snapshot
            if query.kind == PENDING:
                later = await self.snapshots.read(snapshot.pending())
                current = snapshot.without_ended(later)
            await self._check(at, walk, current, current.expected(query))

    async def _snapshot(self, at: int) -> Snapshot:
        """Read all acknowledged requests of the customer, and wait until the indexes contain them."""
        customers, before = self.items.customers, time.monotonic()
        numbers = [
            *range(at, self.items.total, customers),
            *(n for n in self.submitter.acknowledged(before) if n % customers == at),
        ]
        snapshot = await self.snapshots.read([self.items.request_id(n) for n in numbers])
        await asyncio.sleep(INDEX_LAG_S)
        return snapshot

    async def _check(self, at: int, walk: Walk, snapshot: Snapshot, required: set[str]) -> None:
        self.figures.add(walk)
        self.verification.check(walk, snapshot, required)
        await self._try_token(walk, at)

    async def _try_token(self, walk: Walk, at: int) -> None:
        """Use a page token of this list for the same list of the next customer."""
        query, token = walk.query, walk.first_token
        if not token:
            token = await self._token_of_short_page(query)
        if not token:
            return
        other = self.items.customer_at((at + 1) % self.items.customers)
        rejected = await self._is_rejected(token, replace(query, customer=other))
        self.verification.check_token(token, query, other, rejected=rejected)

    async def _token_of_short_page(self, query: ListQuery) -> str:
        """Return the token of a page of one entry; empty if the list has fewer than two entries."""
        request = replace(query, page_size=1).first_page()
        token, _ = await with_retries(self.progress_timeout, partial(read_page, self.stub, request))
        return token

    async def _is_rejected(self, token: str, query: ListQuery) -> bool:
        """Return whether the token of another list is INVALID_ARGUMENT for this one."""
        request = query.first_page()
        request.page_token = token
        try:
            await with_retries(self.progress_timeout, partial(read_page, self.stub, request))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                return True
            raise
        return False

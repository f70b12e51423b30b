"""Searches of one customer. The index lags by seconds, so a search that misses an image is repeated."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.lists import SEARCH, ListQuery
from loadtest.walk.pages import Walk, read_list, read_page
from loadtest.walk.retry import with_retries
from loadtest.walk.snapshot import Entry, Snapshot

REPEAT_S = 0.5
"""Delay before a search is repeated. OpenSearch refreshes an index once per second."""


async def has_search(
    stub: "pb_grpc.ImageServiceAsyncStub", customer: str, progress_timeout: float
) -> bool:
    """Return whether the server has a search engine. Raises AioRpcError if the engine does not answer."""
    request = ListQuery(SEARCH, customer, 1).first_page()
    try:
        await with_retries(progress_timeout, partial(read_page, stub, request))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return False
        raise
    return True


class Searches:
    """Remembers found images, which every later search must find again."""

    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", progress_timeout: float) -> None:
        self._stub = stub
        self._progress_timeout = progress_timeout
        self._found: dict[str, Entry] = {}

    async def walks(
        self, query: ListQuery, snapshot: Snapshot
    ) -> AsyncIterator[tuple[Walk, set[str]]]:
        """Repeat the search, and yield each walk with the ids that it must contain.

        A walk must contain what earlier ones found. The last walk must also contain all expected ids of the snapshot.
        It is the one that contains them all, or the one after `progress_timeout` seconds. Raises AioRpcError.
        """
        wanted, clock = snapshot.expected(query), asyncio.get_running_loop()
        fewest, since = len(wanted), clock.time()
        while True:
            required = Snapshot(self._found).expected(query)
            walk = await read_list(self._stub, query, self._progress_timeout)
            found = {entry.request_id: entry for entry in walk.entries}
            self._found |= found
            missing = len(wanted - found.keys())
            if missing < fewest:
                fewest, since = missing, clock.time()
            if not missing or clock.time() - since > self._progress_timeout:
                yield walk, required | wanted
                return
            yield walk, required
            await asyncio.sleep(REPEAT_S)

"""Searches of one customer. Their index is behind by seconds, so a walk that misses something is made again."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import grpc

from imageservice.v1 import image_service_pb2_grpc as pb_grpc
from loadtest.walk.calling import again
from loadtest.walk.entry import Entry
from loadtest.walk.lists import SEARCH, Question
from loadtest.walk.pages import Walked, ask, walk
from loadtest.walk.proof import Known

PAUSE_SECONDS = 0.5
"""Before a walk is made again: an index of OpenSearch tells of what is new once a second."""


async def searchable(stub: "pb_grpc.ImageServiceAsyncStub", customer: str, patience: float) -> bool:
    """Whether the installation has a search engine. Raises AioRpcError where that does not answer."""
    asked = Question(SEARCH, customer, 1).message()
    try:
        await again(patience, partial(ask, stub, asked))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return False
        raise
    return True


class Searches:
    """Remembers what was found: that is found again by every later walk."""

    def __init__(self, stub: "pb_grpc.ImageServiceAsyncStub", patience: float) -> None:
        self._stub = stub
        self._patience = patience
        self._found: dict[str, Entry] = {}

    async def walks(
        self, question: Question, known: Known
    ) -> AsyncIterator[tuple[Walked, set[str]]]:
        """Each walk, and the ids that it must find: what an earlier one has found, and the last one all that is known.

        The last one is that which finds it all, or with which patience ends: no walk has come nearer for so long.
        Raises AioRpcError.
        """
        wanted, clock = known.expected(question), asyncio.get_running_loop()
        fewest, since = len(wanted), clock.time()
        while True:
            must = Known(self._found).expected(question)
            walked = await walk(self._stub, question, self._patience)
            found = {entry.request_id: entry for entry in walked.entries}
            self._found |= found
            missing = len(wanted - found.keys())
            if missing < fewest:
                fewest, since = missing, clock.time()
            if not missing or clock.time() - since > self._patience:
                yield walked, must | wanted
                return
            yield walked, must
            await asyncio.sleep(PAUSE_SECONDS)

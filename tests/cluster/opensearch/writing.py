"""Writers that run during a rebuild, and the check that no acknowledged write is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core.search.document import SearchDocument
from core.search.engine import WriteStatus
from core.search.query import SearchQuery
from harness.search_documents import ACME, document
from harness.search_engines import Engine

WRITERS = 4
PAUSE_S = 0.005
TIMEOUT_S = 60.0
MAX_RESULTS = 9_000
"""Documents in one response."""


@dataclass(slots=True)
class Writing:
    index: Engine
    begun: list[SearchDocument] = field(default_factory=list)
    """The documents that a table would have."""
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0

    async def more(self) -> None:
        """Wait until a document is acknowledged whose write began after this call."""
        before = {each.image_id for each in self.begun}
        async with asyncio.timeout(TIMEOUT_S):
            while before.issuperset(self.acknowledged):  # noqa: ASYNC110  a writer changes it
                await asyncio.sleep(PAUSE_S)

    async def missing(self) -> set[str]:
        """Return the acknowledged documents that a search does not find."""
        acknowledged = set(self.acknowledged)
        await self.index.writer.refresh()
        result = await self.index.search(SearchQuery(ACME), limit=MAX_RESULTS)
        assert not result.more
        return acknowledged - {hit.image_id for hit in result.hits}

    async def write_one(self) -> None:
        """Write a document like an indexer: retry until it is indexed."""
        image = document()
        self.begun.append(image)
        while True:
            (written,) = await self.index.writer.write([image])
            if written.status is not WriteStatus.UNAVAILABLE:
                break
            self.refused += 1
            await asyncio.sleep(PAUSE_S)
        assert written.status is WriteStatus.INDEXED, written
        self.acknowledged.append(image.image_id)


@asynccontextmanager
async def writing(index: Engine) -> AsyncIterator[Writing]:
    """Run WRITERS writers. At the end all documents that were begun are acknowledged."""
    writers = Writing(index)
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            await writers.write_one()
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())
        yield writers
        over.set()

"""Writers that go on, whatever becomes of a rebuild, and what they must find afterwards."""

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
PATIENCE_S = 60.0
MOST = 9_000
"""Documents that one answer may hold."""


@dataclass(slots=True)
class Writing:
    index: Engine
    begun: list[SearchDocument] = field(default_factory=list)
    """What a table would hold."""
    taken: list[str] = field(default_factory=list)
    refused: int = 0

    async def more(self) -> None:
        """Return once something has been taken that was not begun before."""
        before = {each.image_id for each in self.begun}
        async with asyncio.timeout(PATIENCE_S):
            while before.issuperset(self.taken):  # noqa: ASYNC110  a writer does it
                await asyncio.sleep(PAUSE_S)

    async def missing(self) -> set[str]:
        """What was acknowledged and is not found."""
        taken = set(self.taken)
        await self.index.writer.refresh()
        found = await self.index.ask(SearchQuery(ACME), limit=MOST)
        assert not found.more
        return taken - {hit.image_id for hit in found.hits}

    async def keep(self) -> None:
        """As an indexer does: again, until it is taken."""
        image = document()
        self.begun.append(image)
        while True:
            (written,) = await self.index.writer.write([image])
            if written.status is not WriteStatus.UNAVAILABLE:
                break
            self.refused += 1
            await asyncio.sleep(PAUSE_S)
        assert written.status is WriteStatus.INDEXED, written
        self.taken.append(image.image_id)


@asynccontextmanager
async def writing(index: Engine) -> AsyncIterator[Writing]:
    """At the end everything that was begun is taken."""
    writers = Writing(index)
    over = asyncio.Event()

    async def write() -> None:
        while not over.is_set():
            await writers.keep()
            await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as group:
        for _ in range(WRITERS):
            group.create_task(write())
        yield writers
        over.set()

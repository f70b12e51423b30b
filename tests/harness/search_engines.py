"""Opens the search engines for tests that run with each of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from core.search.document import SearchDocument
from core.search.engine import SearchReader, SearchWriter, WriteStatus, open_reader, open_writer
from core.search.query import SearchQuery, SearchResult, SortKey
from core.search.settings import SearchSettings
from harness.search_documents import ACME

_SEARCH_TIMEOUT_S = 30.0
"""Seconds for a search on a busy machine."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An index of one test, with its reader and writer."""

    settings: SearchSettings
    reader: SearchReader
    writer: SearchWriter

    @property
    def name(self) -> str:
        return self.settings.search_engine

    async def put(self, *documents: SearchDocument) -> None:
        """Write documents and refresh the index."""
        for written in await self.writer.write(documents):
            assert written.status is WriteStatus.INDEXED, written
        await self.writer.refresh()

    async def search(
        self,
        query: SearchQuery,
        *,
        limit: int = 100,
        after: SortKey | None = None,
        facets: bool = False,
    ) -> SearchResult:
        return await self.reader.search(query, limit=limit, after=after, facets=facets)

    async def ids(self, customer_id: str = ACME, **conditions: Any) -> list[str]:
        """Return the image ids of a search, in order. They must fit on one page."""
        found = await self.search(SearchQuery(customer_id, **conditions))
        assert found.total == len(found.hits), "more than a page"
        return [hit.image_id for hit in found.hits]

    async def walk(self, query: SearchQuery, size: int) -> AsyncIterator[Sequence[SortKey]]:
        """Yield the hits of all pages."""
        after = None
        while True:
            found = await self.search(query, limit=size, after=after)
            yield found.hits
            if not found.more:
                return
            assert len(found.hits) == size, "a page before the last is full"
            after = found.hits[-1]


def settings_for(url: str, index: str) -> SearchSettings:
    return SearchSettings.model_validate(
        {"search_url": url, "search_index": index, "search_timeout_s": _SEARCH_TIMEOUT_S}
    )


@asynccontextmanager
async def open_engine(settings: SearchSettings) -> AsyncIterator[Engine]:
    async with AsyncExitStack() as stack:
        reader, writer = open_reader(settings), open_writer(settings)
        stack.push_async_callback(reader.close)
        stack.push_async_callback(writer.close)
        await writer.prepare()
        yield Engine(settings, reader, writer)

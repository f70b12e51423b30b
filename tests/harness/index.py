"""Searches in the index of a system, directly in its engine."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pydantic import SecretStr

from core.model.image import image_id_of
from core.search.engine import SearchReader, open_reader, open_writer
from core.search.query import SearchQuery, SortKey
from core.search.settings import SearchSettings
from harness.system import System
from harness.waiting import wait_for

_PAGE = 100
_SEARCH_TIMEOUT_S = 30.0
"""Seconds for a search on a busy machine."""


@dataclass(frozen=True, slots=True)
class Index:
    reader: SearchReader

    async def images(self, query: SearchQuery) -> list[str]:
        """Return the image ids of all hits of a query, in order."""
        found: list[str] = []
        after: SortKey | None = None
        while True:
            page = await self.reader.search(query, limit=_PAGE, after=after)
            found += [hit.image_id for hit in page.hits]
            if not page.more:
                return found
            after = page.hits[-1]

    async def until_found(self, request_ids: Iterable[str], *, customer: str = "acme") -> None:
        """Wait until a search finds the image of each of these requests once, and no other image of the customer."""
        expected = sorted(map(image_id_of, request_ids))
        found: list[str] = []

        async def complete() -> bool:
            nonlocal found
            found = sorted(await self.images(SearchQuery(customer)))
            return found == expected

        await wait_for(complete, lambda: f"found {len(found)} of {len(expected)}: {found}")


@asynccontextmanager
async def index_of(running: System) -> AsyncIterator[Index]:
    """Create the index, as an indexer does at its start, and open it."""
    settings = SearchSettings(
        search_url=SecretStr(running.search["SEARCH_URL"]),
        search_index=running.search["SEARCH_INDEX"],
        search_signed=False,
        search_timeout_s=_SEARCH_TIMEOUT_S,
    )
    writer = open_writer(settings)
    try:
        await writer.prepare()
    finally:
        await writer.close()
    reader = open_reader(settings)
    try:
        yield Index(reader)
    finally:
        await reader.close()

"""What the index of a system finds, asked of its engine with the suite's own hands."""

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
_PATIENT_S = 30.0
"""Seconds for a search: on a busy machine a slow answer is no wrong one."""


@dataclass(frozen=True, slots=True)
class Index:
    reader: SearchReader

    async def images(self, query: SearchQuery) -> list[str]:
        """Every hit of a query, in its order."""
        found: list[str] = []
        after: SortKey | None = None
        while True:
            page = await self.reader.search(query, limit=_PAGE, after=after)
            found += [hit.image_id for hit in page.hits]
            if not page.more:
                return found
            after = page.hits[-1]

    async def until_found(self, request_ids: Iterable[str], *, customer: str = "acme") -> None:
        """Poll until the images of these requests, and no other, are a customer's; fail if one is there twice."""
        expected = sorted(map(image_id_of, request_ids))
        found: list[str] = []

        async def complete() -> bool:
            nonlocal found
            found = sorted(await self.images(SearchQuery(customer)))
            return found == expected

        await wait_for(complete, lambda: f"found {len(found)} of {len(expected)}: {found}")


@asynccontextmanager
async def index_of(running: System) -> AsyncIterator[Index]:
    """The index is there already, as it is once an indexer has run."""
    settings = SearchSettings(
        search_url=SecretStr(running.search["SEARCH_URL"]),
        search_index=running.search["SEARCH_INDEX"],
        search_signed=False,
        search_timeout_s=_PATIENT_S,
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

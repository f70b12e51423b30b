"""Limits of concurrent searches, and of the rows that they read at once."""

import asyncio
from typing import cast

import pytest

from core.dynamodb.tables import Tables
from core.errors import Overloaded
from core.model.image import ImageRecord
from core.model.rendition import Rendition
from core.search.query import SearchQuery, SearchResult, SortKey
from server.search.request import SearchPageRequest
from server.search.searcher import ImageLoader, Searcher

BASE = "https://cdn.example/"


class BlockingEngine:
    """Its answers wait for `released`. `searched` are the customers whose queries it got."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.searched: list[str] = []

    async def search(
        self, query: SearchQuery, *, limit: int, after: SortKey | None = None, facets: bool = False
    ) -> SearchResult:
        del limit, after, facets
        self.searched.append(query.customer_id)
        await self.released.wait()
        return SearchResult((), 0, more=False)

    async def close(self) -> None: ...


class CountingTables:
    """Tables without rows. `most` is the largest number of concurrent reads."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        del image_id
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        return None

    async def read_renditions(self, image_id: str) -> tuple[Rendition, ...]:
        del image_id
        return ()


def page_request(customer_id: str) -> SearchPageRequest:
    return SearchPageRequest(SearchQuery(customer_id), 20, facets=False)


async def test_no_customer_keeps_others_out() -> None:
    """One customer alone has all places. The others get as many again, each at most its share."""
    engine = BlockingEngine()
    images = ImageLoader(cast("Tables", CountingTables()), BASE)
    searcher = Searcher(engine, images, max_calls=8)
    greedy = [asyncio.create_task(searcher.search(page_request("greedy"))) for _ in range(20)]
    others = [asyncio.create_task(searcher.search(page_request(f"other-{n}"))) for n in range(7)]
    # All calls have started before the first one is rejected.
    refused, _ = await asyncio.wait([*greedy, *others], return_when=asyncio.FIRST_COMPLETED)
    assert engine.searched.count("greedy") == 8
    assert {type(task.exception()) for task in refused} == {Overloaded}
    assert refused == set(greedy[8:])
    engine.released.set()
    answers = await asyncio.gather(*greedy, *others, return_exceptions=True)
    assert sum(not isinstance(answer, Overloaded) for answer in answers) == 8 + 7
    assert (await searcher.search(page_request("greedy"))).total == 0


async def test_few_pages_are_read_at_once() -> None:
    """More concurrent reads would delay the reads of GetStatus."""
    tables = CountingTables()
    images = ImageLoader(cast("Tables", tables), BASE)
    pages = [[f"{page}-{row}" for row in range(100)] for page in range(32)]
    assert await asyncio.gather(*(images.load("acme", page) for page in pages)) == [
        [None] * 100 for _ in pages
    ]
    assert 100 <= tables.most <= 400


@pytest.mark.parametrize("max_calls", [1, 3])
async def test_a_small_limit_allows_every_customer_one_search(max_calls: int) -> None:
    """The share of a customer is at least one place."""
    engine = BlockingEngine()
    engine.released.set()
    images = ImageLoader(cast("Tables", CountingTables()), BASE)
    assert (
        await Searcher(engine, images, max_calls=max_calls).search(page_request("acme"))
    ).next_page_token == ""

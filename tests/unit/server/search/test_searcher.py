"""Who may search at the same time, and how many rows are read for it at once."""

import asyncio
from typing import cast

import pytest

from core.dynamodb.tables import Tables
from core.errors import Overloaded
from core.model.image import ImageRecord
from core.search.query import SearchQuery, SearchResult, SortKey
from server.search.request import SearchPageRequest
from server.search.searcher import ImageLoader, Searcher

BASE = "https://cdn.example/"


class HeldEngine:
    """One whose answers wait. `asked` are the customers who got through to it."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.asked: list[str] = []

    async def search(
        self, query: SearchQuery, *, limit: int, after: SortKey | None = None, facets: bool = False
    ) -> SearchResult:
        del limit, after, facets
        self.asked.append(query.customer_id)
        await self.let_go.wait()
        return SearchResult((), 0, more=False)

    async def close(self) -> None: ...


class HeldTables:
    """Tables whose rows wait, and are none. `most` is how many were asked for at once."""

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


def asked(customer_id: str) -> SearchPageRequest:
    return SearchPageRequest(SearchQuery(customer_id), 20, facets=False)


async def test_no_customer_has_all_places() -> None:
    """A quarter is one's own; the others are still answered, and a place that is free again is anybody's."""
    engine = HeldEngine()
    images = ImageLoader(cast("Tables", HeldTables()), BASE)
    searcher = Searcher(engine, images, max_calls=8)
    greedy = [asyncio.create_task(searcher.search(asked("greedy"))) for _ in range(5)]
    others = [asyncio.create_task(searcher.search(asked(f"other-{n}"))) for n in range(7)]
    # All have begun before the first is refused.
    refused, _ = await asyncio.wait([*greedy, *others], return_when=asyncio.FIRST_COMPLETED)
    assert engine.asked.count("greedy") == 2
    assert {type(task.exception()) for task in refused} == {Overloaded}
    assert (len(refused.intersection(greedy)), len(refused.intersection(others))) == (3, 1)
    engine.let_go.set()
    answers = await asyncio.gather(*greedy, *others, return_exceptions=True)
    assert sum(not isinstance(answer, Overloaded) for answer in answers) == 8
    assert (await searcher.search(asked("greedy"))).total == 0


async def test_rows_of_few_pages_are_read_at_once() -> None:
    """They stand in the same line as those that GetStatus waits for."""
    tables = HeldTables()
    images = ImageLoader(cast("Tables", tables), BASE)
    pages = [[f"{page}-{row}" for row in range(100)] for page in range(32)]
    assert await asyncio.gather(*(images.load("acme", page) for page in pages)) == [
        [None] * 100 for _ in pages
    ]
    assert 100 <= tables.most <= 400


@pytest.mark.parametrize("max_calls", [1, 3])
async def test_a_small_server_lets_everybody_search(max_calls: int) -> None:
    """A quarter of few is one."""
    engine = HeldEngine()
    engine.let_go.set()
    images = ImageLoader(cast("Tables", HeldTables()), BASE)
    assert (
        await Searcher(engine, images, max_calls=max_calls).search(asked("acme"))
    ).next_page_token == ""

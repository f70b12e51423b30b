"""Searches in the file."""

import sqlite3
from typing import Any

from core.search.query import FACET_FIELDS, Facet, FacetValue, SearchQuery, SearchResult, SortKey
from core.search.sqlite import generations
from core.search.sqlite.file import transaction
from core.search.sqlite.sql import Part, Selection
from core.search.sqlite.thread_pool import Calls


class SqliteReader:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def search(
        self,
        query: SearchQuery,
        *,
        limit: int,
        after: SortKey | None = None,
        facets: bool = False,
    ) -> SearchResult:
        def find(connection: sqlite3.Connection) -> SearchResult:
            # In one transaction everything is of one moment, and of one generation.
            with transaction(connection, writes=False):
                return _find(connection, query, limit=limit, after=after, facets=facets)

        return await self._calls.run("search", find)

    async def close(self) -> None:
        await self._calls.close()


def _find(
    connection: sqlite3.Connection,
    query: SearchQuery,
    *,
    limit: int,
    after: SortKey | None,
    facets: bool,
) -> SearchResult:
    selection = Selection(query, generations.current(connection))
    # One more than asked for tells whether hits follow.
    page = _all(connection, selection.page(after, limit + 1))
    ((total,),) = _all(connection, selection.total)
    return SearchResult(
        hits=tuple(SortKey(*row) for row in page[:limit]),
        total=total,
        more=len(page) > limit,
        facets=_facets(_all(connection, selection.facets)) if facets else (),
    )


def _all(connection: sqlite3.Connection, part: Part) -> list[Any]:
    return connection.execute(part.sql, part.values).fetchall()


def _facets(rows: list[tuple[str, str, int]]) -> tuple[Facet, ...]:
    return tuple(
        Facet(
            field, tuple(FacetValue(value, count) for name, value, count in rows if name == field)
        )
        for field in FACET_FIELDS
    )

"""Searches."""

import sqlite3
from typing import Any

from core.search.metrics import initialise_calls
from core.search.query import FACET_FIELDS, Facet, FacetValue, SearchQuery, SearchResult, SortKey
from core.search.sqlite import generations
from core.search.sqlite.file import transaction
from core.search.sqlite.sql import SearchSql, SqlFragment
from core.search.sqlite.thread_pool import SqliteThreadPool


class SqliteReader:
    def __init__(self, pool: SqliteThreadPool) -> None:
        initialise_calls("search")
        self._pool = pool

    async def search(
        self, query: SearchQuery, *, limit: int, after: SortKey | None = None, facets: bool = False
    ) -> SearchResult:
        def search(connection: sqlite3.Connection) -> SearchResult:
            # In one transaction, so that all parts of the result are from one snapshot and one generation.
            with transaction(connection, writes=False):
                return _search(connection, query, limit=limit, after=after, facets=facets)

        return await self._pool.run("search", search)

    async def close(self) -> None:
        await self._pool.close()


def _search(
    connection: sqlite3.Connection,
    query: SearchQuery,
    *,
    limit: int,
    after: SortKey | None,
    facets: bool,
) -> SearchResult:
    sql = SearchSql(query, generations.current(connection))
    # One more hit shows whether another page follows.
    page = _all(connection, sql.page(after, limit + 1))
    ((total,),) = _all(connection, sql.total)
    return SearchResult(
        hits=tuple(SortKey(*row) for row in page[:limit]),
        total=total,
        more=len(page) > limit,
        facets=_facets(_all(connection, sql.facets)) if facets else (),
    )


def _all(connection: sqlite3.Connection, query: SqlFragment) -> list[Any]:
    return connection.execute(query.sql, query.values).fetchall()


def _facets(rows: list[tuple[str, str, int]]) -> tuple[Facet, ...]:
    return tuple(
        Facet(
            field, tuple(FacetValue(value, count) for name, value, count in rows if name == field)
        )
        for field in FACET_FIELDS
    )

"""Searches."""

import time

import structlog
from opensearchpy import AsyncOpenSearch

from core.errors import SearchUnavailable
from core.search.metrics import SEARCH_ENGINE_CALLS
from core.search.opensearch.link import Link, SearchRefused
from core.search.opensearch.question import body, found
from core.search.query import Found, Position, SearchQuery
from core.shared.circuit import Circuit

_log = structlog.get_logger()


class OpenSearchReader:
    """An engine that is down costs a caller nothing, and one that hangs costs one of them its time-out now and then."""

    def __init__(self, link: Link, alias: str) -> None:
        self._link = link
        self._alias = alias
        self._circuit = Circuit()
        self._answered = 0.0

    async def search(
        self,
        query: SearchQuery,
        *,
        limit: int,
        after: Position | None = None,
        facets: bool = False,
    ) -> Found:
        if not self._circuit.enter():
            SEARCH_ENGINE_CALLS.labels("search", "refused").inc()
            raise SearchUnavailable("search: it is known to be down")
        asked = body(query, limit, after, facets=facets)

        async def search(client: AsyncOpenSearch) -> Found:
            answer = await client.search(
                body=asked,
                index=self._alias,
                # What some shards know is not the answer.
                params={"allow_partial_search_results": "false"},
            )
            return found(answer, query, limit, facets=facets)

        started = time.monotonic()
        try:
            hits = await self._link.call("search", search)
        except SearchRefused:
            # It is well; or one question that it does not like would keep all others from it.
            self._succeeded()
            raise
        except SearchUnavailable as error:
            self._failed(started, error)
            raise
        self._succeeded()
        return hits

    async def close(self) -> None:
        await self._link.close()

    def _failed(self, started: float, error: SearchUnavailable) -> None:
        if self._answered > started:
            # Others were answered meanwhile: this question takes too long, and it alone.
            return
        if not self._circuit.broken:
            _log.warning("search is down", error=str(error))
        self._circuit.failed()

    def _succeeded(self) -> None:
        self._answered = time.monotonic()
        if self._circuit.broken:
            _log.info("search is there again")
        self._circuit.succeeded()

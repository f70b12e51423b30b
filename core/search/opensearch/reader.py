"""Searches."""

from typing import Any

from opensearchpy import AsyncOpenSearch

from core.errors import SearchUnavailable
from core.resilience.circuit_breaker import CircuitBreaker
from core.search.metrics import SEARCH_ENGINE_CALLS
from core.search.opensearch.client import Link, SearchRefused, SearchUnreachable
from core.search.opensearch.query_dsl import MalformedAnswer, body, found, preference
from core.search.query import SearchQuery, SearchResult, SortKey

PROBE_S = 1.0
"""The longest that an engine which is well needs to find nothing."""
_NOTHING: dict[str, Any] = {"query": {"match_none": {}}, "size": 0}
_WHOLE = "false"
"""Of allow_partial_search_results: what some shards know is not the answer."""


class OpenSearchReader:
    """An engine that is down costs a caller nothing, and one that hangs costs its time-out to those who are there.

    A question that fails tells nothing of the engine: it may take too long by itself. So a cheap one is asked after it,
    over the link `probe`, and its answer alone decides for everybody; but where nobody listens, nothing is asked first.
    """

    def __init__(self, link: Link, probe: Link, alias: str) -> None:
        self._link = link
        self._probe = probe
        self._alias = alias
        self._breaker = CircuitBreaker(probe=self._answers)

    async def search(
        self,
        query: SearchQuery,
        *,
        limit: int,
        after: SortKey | None = None,
        facets: bool = False,
    ) -> SearchResult:
        if not self._breaker.allow():
            SEARCH_ENGINE_CALLS.labels("search", "refused").inc()
            raise SearchUnavailable("search: it is known to be down")
        asked = body(query, limit, after, facets=facets)
        params = {"allow_partial_search_results": _WHOLE, "preference": preference(query)}

        async def search(client: AsyncOpenSearch) -> SearchResult:
            answer = await client.search(body=asked, index=self._alias, params=params)
            return found(answer, query, limit, facets=facets)

        try:
            return await self._link.call("search", search)
        except SearchRefused:
            # It is well; or one question that it does not like would keep all others from it.
            raise
        except SearchUnavailable as error:
            if isinstance(error, SearchUnreachable):
                self._breaker.record_failure()
            self._breaker.start_probe()
            raise

    async def close(self) -> None:
        await self._breaker.close()
        await self._link.close()
        await self._probe.close()

    async def _answers(self) -> bool:
        async def ask(client: AsyncOpenSearch) -> None:
            answer = await client.search(
                body=_NOTHING,
                index=self._alias,
                params={"allow_partial_search_results": _WHOLE},
            )
            try:
                answer["hits"]["hits"]
            except (LookupError, TypeError) as error:
                raise MalformedAnswer(str(error)) from error

        try:
            await self._probe.call("probe", ask)
        except SearchRefused:
            return True
        except SearchUnavailable:
            return False
        return True

"""Searches, behind a circuit breaker."""

from functools import partial
from typing import Any

from core.answers import member
from core.errors import SearchUnavailable
from core.resilience.circuit_breaker import CircuitBreaker
from core.search.metrics import SEARCH_ENGINE_CALLS, initialise_calls
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.errors import SearchRejected, SearchUnreachable
from core.search.opensearch.query_dsl import decode_search, preference, search_body
from core.search.query import SearchQuery, SearchResult, SortKey

PROBE_TIMEOUT_S = 1.0
"""Longer than a healthy engine needs for an empty result."""
_EMPTY_SEARCH: dict[str, Any] = {"query": {"match_none": {}}, "size": 0}
_NO_PARTIAL_RESULTS = {"allow_partial_search_results": "false"}
"""The hits of some shards are not the answer."""


class OpenSearchReader:
    """While the engine is down, searches fail at once. If it hangs, only searches in flight wait for their timeout.

    A failed search does not prove an outage: it may be slow by itself. So a cheap search is made after it through the
    client `probe`, and only its answer opens or closes the breaker. If nothing listens, the breaker opens at once.
    """

    def __init__(self, client: OpenSearchClient, probe: OpenSearchClient, alias: str) -> None:
        initialise_calls("search", "probe")
        self._client = client
        self._probe_client = probe
        self._alias = alias
        self._breaker = CircuitBreaker(probe=self._probe)

    async def search(
        self, query: SearchQuery, *, limit: int, after: SortKey | None = None, facets: bool = False
    ) -> SearchResult:
        if not self._breaker.allow():
            SEARCH_ENGINE_CALLS.labels("search", "refused").inc()
            raise SearchUnavailable("search: it is known to be down")
        body = search_body(query, limit, after, facets=facets)
        params = {**_NO_PARTIAL_RESULTS, "preference": preference(query)}
        try:
            return await self._client.call(
                "search",
                lambda opensearch: opensearch.search(body=body, index=self._alias, params=params),
                partial(decode_search, query, limit, facets),
            )
        except SearchRejected:
            # The engine is up. One rejected search must not keep other searches from it.
            raise
        except SearchUnavailable as error:
            if isinstance(error, SearchUnreachable):
                self._breaker.record_failure()
            self._breaker.start_probe()
            raise

    async def close(self) -> None:
        await self._breaker.close()
        await self._client.close()
        await self._probe_client.close()

    async def _probe(self) -> bool:
        try:
            await self._probe_client.call(
                "probe",
                lambda opensearch: opensearch.search(
                    body=_EMPTY_SEARCH, index=self._alias, params=_NO_PARTIAL_RESULTS
                ),
                lambda answer: member(answer["hits"], "hits", list),
            )
        except SearchRejected:
            return True
        except SearchUnavailable:
            return False
        return True

"""Finds FAILED requests in the tables: those of a customer by the index of failures, or those with given ids.

Cost: half a read unit per 4 KB of the index, and one read unit (strongly consistent) per request that is read. The
index has the failure code, so requests with another code are not read.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from core.dynamodb import schema
from core.dynamodb.index_query import BY_FAILURE, IndexKey, IndexPage, TimeRange
from core.dynamodb.tables import Tables
from core.errors import FailureCode, MalformedRow
from core.model.request import ImageRequest, State, shard_name
from core.resilience.retry import retry_unavailable

_KEYS_PER_QUERY = 500
CONCURRENCY = 50
"""Requests that are read and reopened concurrently: fewer than a client has connections."""


@dataclass(frozen=True, slots=True)
class FailedRequestPage:
    """FAILED requests, and the numbers of index keys that were left out."""

    requests: Sequence[ImageRequest] = ()
    other_code: int = 0
    no_longer_failed: int = 0


class FailedRequestFinder:
    """Finds requests that failed with `failure_code`; None stands for any code.

    Methods retry while DynamoDB is unavailable, and raise DependencyUnavailable after the last attempt.
    """

    def __init__(self, tables: Tables, failure_code: FailureCode | None) -> None:
        self._tables = tables
        self._failure_code = failure_code

    async def find_by_customer(
        self, customer_id: str, failed: TimeRange
    ) -> AsyncIterator[FailedRequestPage]:
        """Yield pages of up to CONCURRENCY requests that FAILED within the time range and are still FAILED."""
        for number in range(self._tables.statements.shards):
            shard, after = shard_name(customer_id, number), None
            while True:
                page = await self._query(shard, failed, after)
                yield FailedRequestPage(other_code=page.left_out)
                for at in range(0, len(page.keys), CONCURRENCY):
                    ids = [key.request_id for key in page.keys[at : at + CONCURRENCY]]
                    requests = [
                        each for each in await self.read(ids) if _failed_within(each, failed)
                    ]
                    yield FailedRequestPage(requests, no_longer_failed=len(ids) - len(requests))
                after = page.resume
                if after is None:
                    break

    async def read(self, request_ids: Sequence[str]) -> list[ImageRequest]:
        """Return the requests that exist, in any state. A malformed row is logged and left out."""
        requests = await asyncio.gather(*map(self._read_request, request_ids))
        return [request for request in requests if request is not None]

    async def _read_request(self, request_id: str) -> ImageRequest | None:
        try:
            return await retry_unavailable("read request", self._tables.read_request, request_id)
        except MalformedRow as error:
            schema.log_malformed_row(error)
            return None

    async def _query(self, shard: str, failed: TimeRange, after: IndexKey | None) -> IndexPage:
        return await retry_unavailable(
            "query failed requests",
            self._tables.query,
            BY_FAILURE,
            shard,
            failed,
            after=after,
            limit=_KEYS_PER_QUERY,
            failure_code=self._failure_code,
        )


def _failed_within(request: ImageRequest, failed: TimeRange) -> bool:
    """Return whether the request is FAILED and failed in the time range.

    The index is eventually consistent: a request that has failed again since belongs to the next run.
    """
    return request.state is State.FAILED and failed.first <= request.updated_at <= failed.last

"""Finding FAILED requests in the tables: one customer's by the index of failures, or those that are named.

Cost: the index at half a read unit for 4 KB, and each request that is asked for at a read unit, strongly consistent:
the index tells the failure's code, so that those of another code are not read.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from core.aws.client import call
from core.aws.http import JsonService
from core.dynamodb import schema
from core.dynamodb.indexes import BY_FAILURE, IndexKey, TimeRange, query_members, slice_of
from core.dynamodb.tables import Tables
from core.errors import FailureCode, MalformedRow
from core.model.request import ImageRequest, State, shard_name
from core.resilience.retry import retry_unavailable

_KEYS_A_QUERY = 500
AT_ONCE = 50
"""Requests that are read and reopened beside one another: below the connections that a client has."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Found:
    """Beside the requests, how many keys there were of another code, and of requests that have moved on since."""

    requests: Sequence[ImageRequest] = ()
    other_code: int = 0
    moved_on: int = 0


class FailedRequests:
    """`failed_with` is None for any code. Methods raise DependencyUnavailable for what stays down."""

    def __init__(
        self, tables: Tables, dynamodb: JsonService, failed_with: FailureCode | None
    ) -> None:
        self._tables = tables
        self._dynamodb = dynamodb
        self._failed_with = failed_with

    async def of_customer(self, customer_id: str, failed: TimeRange) -> AsyncIterator[Found]:
        """Up to AT_ONCE requests at a time, of those that FAILED within `failed`, and have not moved on since."""
        for number in range(self._tables.statements.shards):
            shard, after = shard_name(customer_id, number), None
            while True:
                keys, after, other_code = await self._page(shard, failed, after)
                yield Found(other_code=other_code)
                for at in range(0, len(keys), AT_ONCE):
                    ids = [key.request_id for key in keys[at : at + AT_ONCE]]
                    failures = [
                        each for each in await self.read(ids) if _failed_within(each, failed)
                    ]
                    yield Found(failures, moved_on=len(ids) - len(failures))
                if after is None:
                    break

    async def read(self, request_ids: Sequence[str]) -> list[ImageRequest]:
        """Those that there are, whatever their state. One that cannot be read is logged and left out."""
        requests = await asyncio.gather(*map(self._request, request_ids))
        return [request for request in requests if request is not None]

    async def _request(self, request_id: str) -> ImageRequest | None:
        try:
            return await retry_unavailable("read request", self._tables.read_request, request_id)
        except MalformedRow as error:
            schema.log_malformed_row(error)
            return None

    async def _page(
        self, shard: str, failed: TimeRange, after: IndexKey | None
    ) -> tuple[Sequence[IndexKey], IndexKey | None, int]:
        """Keys, where to go on, and how many were of another code."""
        table = self._tables.statements.requests_table
        members = query_members(table, BY_FAILURE, shard, failed, after=after, limit=_KEYS_A_QUERY)
        if self._failed_with is not None:
            _narrow(members, self._failed_with)
        answer = await retry_unavailable(
            "query failed requests",
            lambda: call("dynamodb:Query", self._dynamodb.invoke("Query", members)),
        )
        found = slice_of(BY_FAILURE, answer)
        return found.keys, found.resume, answer["ScannedCount"] - len(found.keys)


def _narrow(members: dict[str, Any], code: FailureCode) -> None:
    """Leave out the keys of other codes. They are paid for all the same."""
    members["FilterExpression"] = "#code = :code"
    members["ExpressionAttributeNames"]["#code"] = schema.FAILURE_CODE
    members["ExpressionAttributeValues"][":code"] = schema.string(code)


def _failed_within(request: ImageRequest, failed: TimeRange) -> bool:
    """The index may be a moment behind: what failed again since belongs to the next pass."""
    return request.state is State.FAILED and failed.first <= request.updated_at <= failed.last

"""Reads the whole table of images: segments beside one another, a page at a time, at a bounded rate.

Strongly consistent, which costs a read unit for 4 KB, twice as much as else: rows of 1 KB are 250,000 units a million,
and $0.016 of their $0.03 are for it. An image that was recorded just before a rebuild began may be missing in a
replica; and what is neither scanned nor written by an indexer after the beginning is not in the new index.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from core.aws.client import call
from core.dynamodb import schema
from core.errors import DependencyUnavailable, RequestRejected
from core.resilience.rate_limiter import RateLimiter
from core.resilience.retry import retry_unavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_PAGE_ROWS = 500


async def images_exist(dynamodb: "DynamoDBClient", table: str) -> bool:
    """Whether the table has a row, strongly consistent, for one read unit. Raises DependencyUnavailable."""
    position: dict[str, Any] = {}
    while True:
        rows = dynamodb.scan(TableName=table, Limit=1, ConsistentRead=True, **position)
        try:
            answer = await call("dynamodb:Scan", rows)
        except RequestRejected as rejection:
            # Nothing in it is a customer's: it is the table that is not as it should be.
            raise DependencyUnavailable(str(rejection)) from rejection
        if answer["Items"]:
            return True
        # A page without rows need not be the last one.
        if "LastEvaluatedKey" not in answer:
            return False
        position = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


class ImageScan:
    """`rate` bounds the rows read a second, over all segments."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, *, segments: int, rate: float
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._segments = segments
        self._rate_limiter = RateLimiter(rate)

    async def count(self) -> int:
        """About how many rows there are: DynamoDB counts them every six hours. Raises DependencyUnavailable."""
        described = await call(
            "dynamodb:DescribeTable", self._dynamodb.describe_table(TableName=self._table)
        )
        return described["Table"].get("ItemCount", 0)

    async def pages(self, segment: int) -> AsyncIterator[list[schema.Item]]:
        """Yield the pages of a segment in order. Raises DependencyUnavailable when `retry_unavailable` gives up."""
        position: Any = None
        while True:
            answer = await retry_unavailable("scan images", self._read, segment, position)
            yield answer["Items"]
            position = answer.get("LastEvaluatedKey")
            if position is None:
                return
            await self._rate_limiter.acquire(answer["ScannedCount"])

    async def _read(self, segment: int, position: Any) -> Any:
        arguments: dict[str, Any] = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": self._segments,
            "Limit": _PAGE_ROWS,
            "ConsistentRead": True,
        }
        if position is not None:
            arguments["ExclusiveStartKey"] = position
        return await call("dynamodb:Scan", self._dynamodb.scan(**arguments))

"""Scans the whole table of images in parallel segments, page by page, within a rate.

The scan is strongly consistent, at one read unit for 4 KB, twice the price of an eventually consistent one: a million
rows of 1 KB are 250,000 units, or $0.03. It has to be: a replica may lack an image that was inserted just before a
rebuild began. The new index would never have that image, because the indexer writes only images inserted later.
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
    """Return whether the table has a row; strongly consistent, one read unit. Raises DependencyUnavailable."""
    position: dict[str, Any] = {}
    while True:
        rows = dynamodb.scan(TableName=table, Limit=1, ConsistentRead=True, **position)
        try:
            answer = await call("dynamodb:Scan", rows)
        except RequestRejected as rejection:
            # The request contains nothing of a customer's, so the table is at fault.
            raise DependencyUnavailable(str(rejection)) from rejection
        if answer["Items"]:
            return True
        # A page without rows may not be the last one.
        if "LastEvaluatedKey" not in answer:
            return False
        position = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}


class ImageScan:
    """`rate` is the limit of rows read per second, over all segments."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, *, segments: int, rate: float
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._segments = segments
        self._rate_limiter = RateLimiter(rate)

    async def count(self) -> int:
        """Return the approximate number of rows: DynamoDB counts them every six hours. Raises DependencyUnavailable."""
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

"""Scans of tables, page by page."""

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from core.aws.client import call
from core.aws.http import JsonService
from core.dynamodb import schema
from core.dynamodb.answers import Page, decode_item_count, decode_page
from core.errors import DependencyUnavailable, RequestRejected
from core.resilience.rate_limiter import RateLimiter
from core.resilience.retry import retry_unavailable

_PAGE_ROWS = 500


async def scan(dynamodb: JsonService, members: Mapping[str, Any]) -> Page:
    """Make one Scan, with a Limit in its members. Raises DependencyUnavailable or RequestRejected."""
    decode = partial(decode_page, members["Limit"])
    return await call("dynamodb:Scan", dynamodb.invoke("Scan", members), decode)


async def images_exist(dynamodb: JsonService, table: str) -> bool:
    """Return whether the table has a row; strongly consistent, one read unit. Raises DependencyUnavailable."""
    members: dict[str, Any] = {"TableName": table, "Limit": 1, "ConsistentRead": True}
    while True:
        try:
            page = await scan(dynamodb, members)
        except RequestRejected as rejection:
            # The request contains nothing of a customer's, so the table is at fault.
            raise DependencyUnavailable(str(rejection)) from rejection
        if page.items:
            return True
        # A page without rows may not be the last one.
        if page.last is None:
            return False
        members["ExclusiveStartKey"] = page.last


class ImageScan:
    """Scans the table of images in parallel segments, without the rows of renditions.

    `rate` limits the rows read per second, over all segments.

    The scan is strongly consistent, at one read unit for 4 KB, twice the price of an eventually consistent one: a
    million rows of 1 KB are 250,000 units, or $0.03. It has to be: a replica may lack an image that was inserted just
    before a rebuild began. The new index would never have that image, because the indexer writes only images inserted
    later.
    """

    def __init__(self, dynamodb: JsonService, table: str, *, segments: int, rate: float) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._segments = segments
        self._rate_limiter = RateLimiter(rate)

    async def count(self) -> int:
        """Return the approximate number of rows, those of renditions included. Raises DependencyUnavailable.

        DynamoDB counts them every six hours.
        """
        description = self._dynamodb.invoke("DescribeTable", {"TableName": self._table})
        return await call("dynamodb:DescribeTable", description, decode_item_count)

    async def pages(self, segment: int) -> AsyncIterator[list[schema.Item]]:
        """Yield the pages of a segment in order. Raises DependencyUnavailable when `retry_unavailable` gives up."""
        members: dict[str, Any] = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": self._segments,
            "Limit": _PAGE_ROWS,
            "ConsistentRead": True,
        }
        while True:
            page = await retry_unavailable("scan images", scan, self._dynamodb, members)
            yield [item for item in page.items if schema.is_image_item(item)]
            if page.last is None:
                return
            members["ExclusiveStartKey"] = page.last
            await self._rate_limiter.acquire(page.scanned)

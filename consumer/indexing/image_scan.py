"""Reads the whole table of images: segments beside one another, a page at a time, at a bounded rate."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from core import schema
from core.aws import call

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_PAGE_ROWS = 500


class ImageScan:
    """`rate` bounds the rows read a second, over all segments."""

    def __init__(
        self, dynamodb: "DynamoDBClient", table: str, *, segments: int, rate: float
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._segments = segments
        self._rate = rate

    async def count(self) -> int:
        """About how many rows there are: DynamoDB counts them every six hours. Raises DependencyUnavailable."""
        described = await call(
            "dynamodb:DescribeTable", self._dynamodb.describe_table(TableName=self._table)
        )
        return described["Table"].get("ItemCount", 0)

    async def pages(self, segment: int) -> AsyncIterator[list[schema.Item]]:
        """Raises DependencyUnavailable; whoever goes on afterwards begins anew."""
        position: Any = None
        while True:
            started = time.monotonic()
            answer = await self._read(segment, position)
            yield answer["Items"]
            position = answer.get("LastEvaluatedKey")
            if position is None:
                return
            due = started + answer["ScannedCount"] * self._segments / self._rate
            await asyncio.sleep(due - time.monotonic())

    async def _read(self, segment: int, position: Any) -> Any:
        arguments: dict[str, Any] = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": self._segments,
            "Limit": _PAGE_ROWS,
        }
        if position is not None:
            arguments["ExclusiveStartKey"] = position
        return await call("dynamodb:Scan", self._dynamodb.scan(**arguments))

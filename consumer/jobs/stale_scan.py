"""Finding requests that are PENDING and have not been touched for long: a segmented, filtered, rate-limited scan."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from consumer.jobs.rate_limiter import Pace
from core.aws.client import call
from core.dynamodb import schema
from core.errors import MalformedRow
from core.model.request import ImageRequest, State

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

_PAGE_ROWS = 1_000
_log = structlog.get_logger()


class Checkpoint:
    """How far each segment has come, kept in a file after every page, so that a scan cut short goes on from there.

    Without a path nothing is kept.
    """

    def __init__(self, path: Path | None, segments: int) -> None:
        self._path = path
        self._segments = segments
        self._positions: dict[str, Any] = {}
        if path is not None and path.exists():
            kept = json.loads(path.read_text())
            if kept["segments"] == segments:
                self._positions = kept["positions"]

    def position(self, segment: int) -> Mapping[str, Any] | None:
        return self._positions.get(str(segment))

    def done(self, segment: int) -> bool:
        return str(segment) in self._positions and self._positions[str(segment)] is None

    def keep(self, segment: int, position: Mapping[str, Any] | None) -> None:
        """None says that the segment is done."""
        self._positions[str(segment)] = position
        if self._path is not None:
            kept = {"segments": self._segments, "positions": self._positions}
            # Whole or not at all: half a checkpoint would stop every later run.
            fresh = self._path.with_name(self._path.name + ".new")
            fresh.write_text(json.dumps(kept))
            fresh.replace(self._path)

    def clear(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class StaleScan:
    """`pace` bounds the rows read a second, over all segments, which are meant to be read beside one another."""

    def __init__(
        self,
        dynamodb: "DynamoDBClient",
        table: str,
        *,
        cutoff: int,
        segments: int,
        pace: Pace,
        checkpoint: Checkpoint,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cutoff = cutoff
        self._segments = segments
        self._pace = pace
        self._checkpoint = checkpoint
        self.rows_read = 0

    async def pages(self, segment: int) -> AsyncIterator[list[ImageRequest]]:
        """Pages of requests that are PENDING and were last touched before `cutoff`, in ms since the epoch.

        A page is checkpointed when the next one is asked for, that is, when it has been dealt with. A row that cannot
        be read is logged and left out.
        """
        while not self._checkpoint.done(segment):
            response = await self._read(segment)
            self.rows_read += response["ScannedCount"]
            yield [request for item in response["Items"] if (request := _readable(item))]
            self._checkpoint.keep(segment, response.get("LastEvaluatedKey"))
            await self._pace.spend(response["ScannedCount"])

    async def _read(self, segment: int) -> Any:
        arguments: dict[str, Any] = {
            "TableName": self._table,
            "Segment": segment,
            "TotalSegments": self._segments,
            "Limit": _PAGE_ROWS,
            "FilterExpression": "#status = :pending AND #updated < :cutoff",
            "ExpressionAttributeNames": {"#status": schema.STATUS, "#updated": schema.UPDATED_AT},
            "ExpressionAttributeValues": {
                ":pending": schema.string(State.PENDING),
                ":cutoff": schema.number(self._cutoff),
            },
        }
        position = self._checkpoint.position(segment)
        if position is not None:
            arguments["ExclusiveStartKey"] = position
        return await call("dynamodb:Scan", self._dynamodb.scan(**arguments))


def _readable(item: schema.Item) -> ImageRequest | None:
    """One row that is none of ours must not keep reconcile from the others, on this run and on every later one."""
    try:
        return schema.request_from_item(item)
    except MalformedRow as error:
        schema.log_malformed_row(error)
        return None

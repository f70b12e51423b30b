"""Finds stale PENDING requests by a filtered, rate-limited scan of the requests table in parallel segments."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from core.aws.http import JsonService
from core.dynamodb import schema
from core.dynamodb.answers import Page
from core.dynamodb.scan import scan
from core.errors import MalformedRow
from core.model.request import ImageRequest, State
from core.resilience.rate_limiter import RateLimiter

_PAGE_ROWS = 1_000


class Checkpoint:
    """Position of each segment. It is saved to a file after every page, so that an interrupted scan can resume.

    Without a path nothing is saved.
    """

    def __init__(self, path: Path | None, segments: int) -> None:
        self._path = path
        self._segments = segments
        self._positions: dict[str, Any] = {}
        if path is not None and path.exists():
            saved = json.loads(path.read_text())
            if saved["segments"] == segments:
                self._positions = saved["positions"]

    def position(self, segment: int) -> Mapping[str, Any] | None:
        return self._positions.get(str(segment))

    def is_done(self, segment: int) -> bool:
        return str(segment) in self._positions and self._positions[str(segment)] is None

    def save(self, segment: int, position: Mapping[str, Any] | None) -> None:
        """Save a position; None means that the segment is done."""
        self._positions[str(segment)] = position
        if self._path is not None:
            saved = {"segments": self._segments, "positions": self._positions}
            # The file is replaced atomically: a truncated checkpoint would stop every later run.
            partial = self._path.with_name(self._path.name + ".new")
            partial.write_text(json.dumps(saved))
            partial.replace(self._path)

    def clear(self) -> None:
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class StaleScan:
    """`rate_limiter` bounds the rows read per second in all segments together; read the segments in parallel."""

    def __init__(
        self,
        dynamodb: JsonService,
        table: str,
        *,
        cutoff: int,
        segments: int,
        rate_limiter: RateLimiter,
        checkpoint: Checkpoint,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._cutoff = cutoff
        self._segments = segments
        self._rate_limiter = rate_limiter
        self._checkpoint = checkpoint
        self.rows_read = 0

    async def pages(self, segment: int) -> AsyncIterator[list[ImageRequest]]:
        """Yield pages of requests that are PENDING and were last written before `cutoff`, in ms since the epoch.

        A page is checkpointed when the caller requests the next one, which means that it has processed the page. A
        malformed row is logged and left out.
        """
        while not self._checkpoint.is_done(segment):
            page = await self._read(segment)
            self.rows_read += page.scanned
            yield [request for item in page.items if (request := _parse_or_log(item))]
            self._checkpoint.save(segment, page.last)
            await self._rate_limiter.acquire(page.scanned)

    async def _read(self, segment: int) -> Page:
        members: dict[str, Any] = {
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
            members["ExclusiveStartKey"] = position
        return await scan(self._dynamodb, members)


def _parse_or_log(item: schema.Item) -> ImageRequest | None:
    """Parse a row. A malformed row is logged, so that it does not keep this run and every later one from the others."""
    try:
        return schema.request_from_item(item)
    except MalformedRow as error:
        schema.log_malformed_row(error)
        return None

"""Tables that count the reads of a server."""

from collections.abc import Sequence
from typing import Any

from core.dynamodb.tables import StatusSnapshot, Tables
from core.model.image import ImageRecord
from core.model.request import ImageRequest


class CountingTables(Tables):
    """`reads` counts rows of both tables, `read_calls` their calls, `polls` rounds of the watcher."""

    reads = 0
    read_calls = 0
    polls = 0

    async def read_request(self, request_id: str) -> ImageRequest | None:
        self.reads += 1
        return await super().read_request(request_id)

    async def read_image_by_id(self, image_id: str) -> ImageRecord | None:
        self.reads += 1
        return await super().read_image_by_id(image_id)

    async def _get(self, batch: Any) -> Any:
        self.read_calls += 1
        return await super()._get(batch)

    async def read_statuses(self, request_ids: Sequence[str]) -> dict[str, StatusSnapshot]:
        self.polls += 1
        return await super().read_statuses(request_ids)

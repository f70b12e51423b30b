"""How a new index is filled."""

import uuid
from collections.abc import Sequence
from typing import Any, cast

from botocore.exceptions import ClientError

from consumer.jobs.index_builder import IndexBuilder, IndexStats
from consumer.jobs.progress import Progress
from core.dynamodb.scan import ImageScan
from core.dynamodb.schema import image_item
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.search.document import SearchDocument
from core.search.engine import WriteResult, WriteStatus
from harness.outcomes import image_record


class Service:
    """DynamoDB, which rejects a whole call because of one empty key."""

    def __init__(self, *request_ids: str) -> None:
        self._items = [image_item(image_record(str(uuid.uuid4()))) for _ in request_ids]
        for item, request_id in zip(self._items, request_ids, strict=True):
            item["requestId"] = {"S": request_id}

    async def invoke(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        if operation == "Scan":
            count = len(self._items)
            return {"Items": self._items, "Count": count, "ScannedCount": count}
        keys = parameters["RequestItems"]["requests"]["Keys"]
        if any(not key["requestId"]["S"] for key in keys):
            error = {"Error": {"Code": "ValidationException", "Message": "an empty key"}}
            raise ClientError(cast("Any", error), "BatchGetItem")
        return {"Responses": {"requests": []}, "UnprocessedKeys": {}}


class NewIndex:
    """Accepts every document."""

    async def write(self, documents: Sequence[SearchDocument]) -> tuple[WriteResult, ...]:
        return (WriteResult(WriteStatus.INDEXED),) * len(documents)

    async def finish(self) -> None: ...


async def test_a_row_with_an_invalid_request_id_is_rejected_alone() -> None:
    """It is counted as rejected. A retry of it would end the rebuild."""
    service: Any = Service(str(uuid.uuid4()), "", str(uuid.uuid4()))
    scan = ImageScan(service, "images", segments=1, rate=1_000)
    tables = Tables(service, Statements("requests", "images"))
    builder = IndexBuilder(scan, tables, NewIndex(), Progress("reindex", 3))
    assert await builder.run(1) == IndexStats(indexed=2, rejected=1)

"""Requests whose server ended between its two writes."""

import uuid
from typing import Any

from core.model.request import new_request
from core.runtime.clock import now_ms
from harness.stores import Stores
from harness.system import System
from harness.tables import tables_of


async def insert(running: System, url: str, *, age_ms: int) -> str:
    """Insert a PENDING request without a message. Return its id."""
    request_id = str(uuid.uuid4())
    request = new_request(
        request_id=request_id, customer_id="acme", url=url, labels={}, now=now_ms() - age_ms
    )
    async with tables_of(running.aws.environment("tests"), running.stack) as tables:
        await tables.write(tables.statements.insert_request(request))
    return request_id


async def row_of(stores: Stores, request_id: str) -> dict[str, Any]:
    (row,) = [row for row in await stores.requests() if row["requestId"]["S"] == request_id]
    return row

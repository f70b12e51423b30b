"""Concurrent reads of one request."""

import asyncio
import uuid
from dataclasses import replace
from typing import Any, cast

import pytest

from core.dynamodb.tables import Tables
from core.errors import RequestNotFound
from core.model.image import ImageRecord
from core.model.request import ImageRequest, State, new_request
from harness.outcomes import image_record
from harness.virtual_time import run_virtually
from server.status.cache import CompletedCache
from server.status.reader import Status, StatusReader

READ_S = 0.01


class Row:
    """A table with one row. A read returns the row as it was at its start."""

    def __init__(self, request_id: str) -> None:
        self.request = new_request(
            request_id=request_id, customer_id="acme", url="u", labels={}, now=1
        )
        self.exists = True
        self.reads = 0
        self.hangs = 0

    def complete(self) -> None:
        self.request = replace(self.request, state=State.COMPLETED, revision=2)

    async def read_request(self, _: str) -> ImageRequest | None:
        self.reads += 1
        seen = self.request if self.exists else None
        if self.hangs:
            self.hangs -= 1
            await asyncio.sleep(3_600)
        await asyncio.sleep(READ_S)
        return seen

    async def read_image_of(self, request: ImageRequest) -> ImageRecord:
        return image_record(request.request_id)


def reader_of(row: Row) -> StatusReader:
    return StatusReader(cast("Tables", cast("Any", row)), "http://i/", CompletedCache(0, 1))


def test_callers_share_a_read_of_a_completed_request() -> None:
    """Of a hundred callers of a COMPLETED request, one reads the table."""
    row = Row(str(uuid.uuid4()))
    row.complete()

    async def call() -> set[int]:
        statuses = reader_of(row)
        found = await asyncio.gather(*(statuses.read(row.request.request_id) for _ in range(100)))
        return {status.request.revision for status in found}

    assert run_virtually(call()) == {2}
    assert row.reads == 1


@pytest.mark.parametrize("before", ["unknown", "pending"])
def test_no_caller_gets_a_state_older_than_its_call(before: str) -> None:
    """A caller sees an id, or a COMPLETED state, that was written while an earlier read was in progress."""
    row = Row(str(uuid.uuid4()))
    row.exists = before != "unknown"

    async def call() -> tuple[Any, Status]:
        statuses = reader_of(row)
        early = asyncio.create_task(statuses.read(row.request.request_id))
        await asyncio.sleep(READ_S / 2)
        row.exists = True
        row.complete()
        late = await statuses.read(row.request.request_id)
        return (await asyncio.gather(early, return_exceptions=True))[0], late

    early, late = run_virtually(call())
    assert late.request.state is State.COMPLETED
    assert isinstance(early, RequestNotFound if before == "unknown" else Status)


def test_a_read_that_hangs_or_is_cancelled_delays_no_other_caller() -> None:
    """A caller waits for the read of another caller only for a short time."""
    row = Row(str(uuid.uuid4()))
    row.complete()
    row.hangs = 1

    async def call() -> float:
        statuses = reader_of(row)
        first = asyncio.create_task(statuses.read(row.request.request_id))
        await asyncio.sleep(0)
        began = asyncio.get_running_loop().time()
        await statuses.read(row.request.request_id)
        took = asyncio.get_running_loop().time() - began
        waiting = asyncio.create_task(statuses.read(row.request.request_id))
        await asyncio.sleep(0)
        first.cancel()
        assert (await waiting).request.state is State.COMPLETED
        return took

    assert run_virtually(call()) < 1

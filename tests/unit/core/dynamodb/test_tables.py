"""Malformed ids of requests, and the calls of several customers."""

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any, cast

import pytest

from core.dynamodb.statements import Statements
from core.dynamodb.tables import MAX_STATEMENTS, Tables
from core.errors import MalformedRow
from core.model.request import ImageRequest, new_request

NO_UUID = "not-a-uuid"


def unreachable_tables() -> Tables:
    return Tables(cast("Any", None), Statements("requests", "images"))


async def test_a_request_id_that_is_no_uuid_is_a_malformed_row() -> None:
    """One such row must not end a customer's list."""
    request = new_request(
        request_id=NO_UUID, customer_id="acme", url="https://a.example/1", labels={}, now=1
    )
    tables = unreachable_tables()
    for read in (tables.read_image(NO_UUID), tables.read_image_of(request)):
        with pytest.raises(MalformedRow) as raised:
            await read
        assert raised.value.key == NO_UUID


class SlowService:
    """A DynamoDB whose calls are answered when `answer` is set. Records the number of statements of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.answer = asyncio.Event()

    async def invoke(self, _operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        statements = len(members["Statements"])
        self.calls.append(statements)
        await self.answer.wait()
        return {"Responses": [{} for _ in range(statements)]}


def request_of(customer_id: str) -> ImageRequest:
    return new_request(
        request_id=str(uuid.uuid4()),
        customer_id=customer_id,
        url="https://a.example/1",
        labels={},
        now=1,
    )


async def test_a_write_does_not_wait_for_those_of_a_customer_that_fills_batches() -> None:
    """It has a call of its own at once, although many writes came before it."""
    service = SlowService()
    tables = Tables(cast("Any", service), Statements("requests", "images"))
    requests = [request_of("a") for _ in range(10 * MAX_STATEMENTS)]
    writes = [tables.write_nowait(tables.statements.insert_request(each)) for each in requests]
    await asyncio.sleep(0)
    before = len(service.calls)
    writes.append(tables.write_nowait(tables.statements.insert_request(request_of("b"))))
    await asyncio.sleep(0)
    assert service.calls[before:] == [1]
    service.answer.set()
    await asyncio.gather(*writes)

"""The id of an image is made from the id of its request, which a malformed row may not have."""

from typing import Any, cast

import pytest

from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import MalformedRow
from core.model.request import new_request

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

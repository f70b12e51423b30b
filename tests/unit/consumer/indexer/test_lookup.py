"""What a row, or a table, that cannot be read means for the others."""

import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from consumer.indexer.lookup import look_up
from core.dynamodb.schema import image_item
from core.dynamodb.statements import Statements
from core.dynamodb.tables import Tables
from core.errors import DependencyUnavailable, MalformedRow
from core.model.image import image_id_of
from core.search.document import SearchDocument
from harness.outcomes import image_record

IDS = [str(uuid.uuid4()) for _ in range(3)]
IMAGES = {image_id_of(each): image_item(image_record(each)) for each in IDS}
Answer = Callable[[dict[str, Any]], dict[str, Any]]


def recorded(asked: dict[str, Any]) -> dict[str, Any]:
    """All images; no request has a row any more."""
    keys = asked["RequestItems"].get("images", {"Keys": []})["Keys"]
    return {"Responses": {"images": [IMAGES[key["imageId"]["S"]] for key in keys]}}


def one_is_none_of_ours(asked: dict[str, Any]) -> dict[str, Any]:
    answer = recorded(asked)
    for row, image in enumerate(answer["Responses"]["images"]):
        if image["imageId"]["S"] == image_id_of(IDS[1]):
            answer["Responses"]["images"][row] = {"imageId": image["imageId"]}
    return answer


def other_keys(asked: dict[str, Any]) -> dict[str, Any]:
    """As where the settings name another table."""
    if "requests" in asked["RequestItems"]:
        reason = "the key does not match the schema"
        told = {"Error": {"Code": "ValidationException", "Message": reason}}
        raise ClientError(cast("Any", told), "BatchGetItem")
    return recorded(asked)


def tables(answer: Answer) -> Tables:
    class Service:
        async def invoke(self, _operation: str, asked: dict[str, Any]) -> dict[str, Any]:
            return answer(asked)

    service: Any = Service()
    return Tables(cast("Any", None), service, Statements("requests", "images"))


async def test_a_row_that_is_none_of_ours_concerns_no_other() -> None:
    """The images beside it are indexed."""
    looked = await look_up(tables(one_is_none_of_ours), IDS)
    assert [type(each) for each in looked] == [SearchDocument, MalformedRow, SearchDocument]


@pytest.mark.parametrize(
    "answer",
    [{}, {"Responses": None}, {"Responses": {"images": [{}], "requests": [{}]}}],
)
async def test_an_answer_that_is_none_is_waited_for(answer: dict[str, Any]) -> None:
    """It says nothing of any row."""
    with pytest.raises(DependencyUnavailable, match="malformed answer"):
        await look_up(tables(lambda _asked: answer), IDS)


async def test_a_table_that_refuses_every_key_is_waited_for() -> None:
    """No row is to blame, so no event is: it is an outage like any other."""
    with pytest.raises(DependencyUnavailable, match="ValidationException"):
        await look_up(tables(other_keys), IDS)

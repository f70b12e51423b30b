"""How a malformed row, or a table with an error, affects the other documents."""

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


def recorded(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return all images. No request has a row any more."""
    lists: dict[str, list[Any]] = {table: [] for table in parameters["RequestItems"]}
    keys = parameters["RequestItems"].get("images", {"Keys": []})["Keys"]
    lists |= {"images": [IMAGES[key["imageId"]["S"]] for key in keys]} if keys else {}
    return {"Responses": lists}


def one_malformed_row(parameters: dict[str, Any]) -> dict[str, Any]:
    answer = recorded(parameters)
    for row, image in enumerate(answer["Responses"].get("images", [])):
        if image["imageId"]["S"] == image_id_of(IDS[1]):
            answer["Responses"]["images"][row] = {"imageId": image["imageId"]}
    return answer


def other_keys(parameters: dict[str, Any]) -> dict[str, Any]:
    """A table with another key schema, as after a wrong setting."""
    if "requests" in parameters["RequestItems"]:
        reason = "the key does not match the schema"
        response = {"Error": {"Code": "ValidationException", "Message": reason}}
        raise ClientError(cast("Any", response), "BatchGetItem")
    return recorded(parameters)


def tables(answer: Answer) -> Tables:
    class Service:
        async def invoke(self, _operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
            return answer(parameters)

    service: Any = Service()
    return Tables(service, Statements("requests", "images"))


async def test_a_malformed_row_does_not_affect_the_others() -> None:
    """The other images are indexed."""
    results = await look_up(tables(one_malformed_row), IDS)
    assert [type(each) for each in results] == [SearchDocument, MalformedRow, SearchDocument]


@pytest.mark.parametrize(
    "answer",
    [{}, {"Responses": None}, {"Responses": {"images": [{}], "requests": [{}]}}],
)
async def test_a_malformed_answer_is_an_outage(answer: dict[str, Any]) -> None:
    """It has no information about any row."""
    with pytest.raises(DependencyUnavailable, match="malformed answer"):
        await look_up(tables(lambda _parameters: answer), IDS)


async def test_a_table_that_rejects_every_key_is_an_outage() -> None:
    """No row is at fault."""
    with pytest.raises(DependencyUnavailable, match="ValidationException"):
        await look_up(tables(other_keys), IDS)

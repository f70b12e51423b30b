"""A row of an unknown shape is one error, which names the row."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.dynamodb import schema
from core.errors import MalformedRow
from core.model.rendition import Rendition, renditions_id
from core.model.request import new_request
from core.model.reuse import FetchRecord, fetch_record_id
from harness.outcomes import image_record

REQUEST_ID = str(uuid.uuid4())
RECORD = image_record(REQUEST_ID)
REQUEST = new_request(
    request_id=REQUEST_ID, customer_id="acme", url="https://a.example/1", labels={"a": "b"}, now=1
)


def request_item(**changed: Any) -> dict[str, Any]:
    return schema.new_request_item(REQUEST, shards=8) | changed


def image_item(**changed: Any) -> dict[str, Any]:
    return schema.image_item(RECORD) | changed


def test_a_row_is_read_as_it_was_written() -> None:
    """Of both tables."""
    assert schema.request_from_item(request_item()) == REQUEST
    assert schema.image_from_item(image_item()) == RECORD


def test_an_image_with_all_metadata_is_read_as_it_was_written() -> None:
    """Also the members that earlier versions do not write."""
    metadata = replace(
        RECORD.metadata, animation_duration_ms=1_250, removed=("LOCATION", "A_LATER_PART")
    )
    full = replace(RECORD, metadata=metadata)
    assert schema.image_from_item(schema.image_item(full)) == full


def test_a_row_of_an_earlier_version_has_no_duration_and_no_removed_parts() -> None:
    """Its map lacks the attributes. So does a still image's from which nothing was removed: they cost no bytes."""
    attributes = image_item()["metadata"]["M"].keys()
    assert not {"animationDurationMs", "removed"} & attributes
    metadata = schema.image_from_item(image_item()).metadata
    assert (metadata.animation_duration_ms, metadata.removed) == (0, ())


@pytest.mark.parametrize(
    "changed",
    [
        {"status": {"S": "ARCHIVED"}},
        {"revision": {"S": "1"}},
        {"revision": {"N": "one"}},
        {"labels": {"L": []}},
        {"labels": {"M": {"a": {"N": "1"}}}},
        {"labels": {"M": []}},
        {"failureCode": {"S": "TIMEOUT"}},
        {"customerId": None},
    ],
)
def test_a_malformed_request_names_its_row(changed: dict[str, Any]) -> None:
    """Every kind of malformed row."""
    with pytest.raises(MalformedRow) as raised:
        schema.request_from_item(request_item(**changed))
    assert raised.value.key == REQUEST_ID


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"M": {"width": {"S": "1"}}}},
        {"metadata": {"M": {"format": {"N": "1"}}}},
        {"metadata": {"M": {"removed": {"L": [{"N": "1"}]}}}},
        {"metadata": {"M": {"removed": {"S": "VIDEO"}}}},
        {"provenance": {"S": ""}},
        {"s3Url": {}},
    ],
)
def test_a_malformed_image_names_its_row(changed: dict[str, Any]) -> None:
    """An attribute of another type as well: a search engine would refuse it."""
    with pytest.raises(MalformedRow) as raised:
        schema.image_from_item(image_item(**changed))
    assert raised.value.key == RECORD.image_id


@pytest.mark.parametrize(
    "convert", [schema.request_from_item, schema.image_from_item, schema.status_from_item]
)
def test_a_row_without_a_key_is_malformed_too(convert: Callable[[Any], object]) -> None:
    """The key attribute may be what is malformed."""
    with pytest.raises(MalformedRow, match="without"):
        convert({})


def test_a_skipped_row_is_logged_with_its_key() -> None:
    """As an error, because a newer or a foreign writer needs attention."""
    with capture_logs() as logs:
        schema.log_malformed_row(MalformedRow("the key", "KeyError('status')"))
    assert [(log["log_level"], log["key"]) for log in logs] == [("error", "the key")]


def test_renditions_survive_the_row() -> None:
    """Each is an attribute of its own. They come back sorted by preset."""
    made = Rendition("one", "d" * 16, "s3://b/k", "image/webp", 64, 48, 1_000, "a" * 64)
    failed = Rendition("another", "", failure_code="INTERNAL", failure_message="No.")
    update = schema.renditions_update([made, failed])
    names, values = update["ExpressionAttributeNames"], update["ExpressionAttributeValues"]
    item = {names[f"#{at}"]: values[f":{at}"] for at in range(2)}
    row = {schema.IMAGE_ID: schema.string(renditions_id("i")), **item}
    assert schema.renditions_from_item(row) == (failed, made)
    assert not schema.is_image_item(row)


def test_a_failure_replaces_no_rendition() -> None:
    failed = Rendition("one", "", failure_code="INTERNAL", failure_message="No.")
    update = schema.renditions_update([failed])
    assert update["UpdateExpression"] == "SET #0 = if_not_exists(#0, :0)"


def test_the_renditions_of_a_request_survive_its_row() -> None:
    """A row of an earlier version has none."""
    request = new_request(
        request_id="r", customer_id="c", url="u", labels={}, renditions=("b", "a"), now=1
    )
    item = schema.new_request_item(request, shards=1)
    assert schema.request_from_item(item) == request
    del item[schema.RENDITIONS]
    assert schema.request_from_item(item).renditions == ()


def test_the_terms_of_a_fetch_survive_the_row() -> None:
    """A row without them, as those of earlier versions, has no limit."""
    request = replace(
        new_request(request_id="r", customer_id="c", url="u", labels={}, now=1),
        not_after=1_900_000_000_123,
        reuse_within=60_000,
    )
    item = schema.new_request_item(request, shards=1)
    assert schema.request_from_item(item) == request
    del item[schema.NOT_AFTER], item[schema.REUSE_WITHIN]
    read = schema.request_from_item(item)
    assert (read.not_after, read.reuse_within) == (0, 0)


def test_the_record_of_a_fetch_survives_its_row() -> None:
    """It is no image, and no image expires."""
    fetch = FetchRecord("an image", 1_000, "rules")
    values = schema.fetch_record_update("acme", fetch)["ExpressionAttributeValues"]
    key = {schema.IMAGE_ID: schema.string(fetch_record_id("acme", "u"))}
    row = key | {name.removeprefix(":"): value for name, value in values.items()}
    assert schema.fetch_record_from_item(row) == fetch
    assert not schema.is_image_item(row)
    assert schema.EXPIRES_AT in row
    assert schema.EXPIRES_AT not in schema.image_item(RECORD)
    with pytest.raises(MalformedRow, match="#reuse"):
        schema.fetch_record_from_item(key)

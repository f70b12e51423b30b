"""Validation of messages against the limits of the contract."""

import uuid
from typing import cast

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from core.model.request import ImageRequest
from imageservice.v1 import image_service_pb2 as pb
from server.errors import InvalidRequest
from server.validation import parse_request_id, parse_submit, parse_submit_item, parse_watch

ID = "0b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11"
OTHER_ID = "1b8f4a5e-7a59-4c39-9d0f-3c3a9b0a1f11"


def submit(
    url: str = "https://images.example/cat.jpg",
    customer_id: str = "acme",
    request_id: str = "",
    labels: dict[str, str] | None = None,
    *,
    not_after: Timestamp | None = None,
    reuse_within: Duration | None = None,
    lane: int = pb.LANE_UNSPECIFIED,
) -> pb.SubmitImageRequest:
    return pb.SubmitImageRequest(
        url=url,
        customer_id=customer_id,
        request_id=request_id,
        labels=labels,
        not_after=not_after,
        reuse_within=reuse_within,
        lane=cast("pb.Lane.ValueType", lane),
    )


def invalid_fields(request: pb.SubmitImageRequest) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        parse_submit(request, {})
    return [violation.field for violation in refused.value.violations]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (submit(url=""), "url"),
        (submit(url="ftp://images.example/cat.jpg"), "url"),
        (submit(url="https://user@images.example/cat.jpg"), "url"),
        (submit(url="https://images.example/" + "a" * 8_190), "url"),
        (submit(url="http://0x7f.1/"), "url"),
        (submit(url="s3://UPPER/a"), "url"),
        (submit(url="s3://uploads"), "url"),
        (submit(url="s3://uploads/../other/a"), "url"),
        (submit(url="https://images.example:22/"), "url"),
        (submit(customer_id=""), "customer_id"),
        (submit(customer_id="a" * 129), "customer_id"),
        (submit(customer_id="a b"), "customer_id"),
        (submit(customer_id="a#b"), "customer_id"),
        (submit(customer_id="acme\n"), "customer_id"),
        (submit(customer_id="é"), "customer_id"),
        (submit(request_id="1"), "request_id"),
        (submit(request_id=ID.replace("-", "")), "request_id"),
        (submit(request_id=f"{{{ID}}}"), "request_id"),
        (submit(request_id=f"urn:uuid:{ID}"), "request_id"),
        (submit(request_id=ID + "\n"), "request_id"),
        (submit(request_id="00000000-0000-0000-0000-000000000000"), "request_id"),
        (submit(request_id="FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF"), "request_id"),
        (submit(labels={str(number): "" for number in range(11)}), "labels"),
        (submit(labels={"": "value"}), "labels"),
        (submit(labels={"é" * 33: "value"}), "labels"),
        (submit(labels={"key": "é" * 33}), 'labels["key"]'),
        (submit(lane=3), "lane"),
        (submit(lane=-1), "lane"),
        (submit(not_after=Timestamp(seconds=253_402_300_800)), "not_after"),
        (submit(not_after=Timestamp(seconds=-62_135_596_801)), "not_after"),
        (submit(not_after=Timestamp(nanos=-1)), "not_after"),
        (submit(not_after=Timestamp(nanos=1_000_000_000)), "not_after"),
        (submit(reuse_within=Duration()), "reuse_within"),
        (submit(reuse_within=Duration(nanos=999_999_999)), "reuse_within"),
        (submit(reuse_within=Duration(seconds=-1)), "reuse_within"),
        (submit(reuse_within=Duration(seconds=1, nanos=-1)), "reuse_within"),
        (submit(reuse_within=Duration(seconds=1, nanos=1_000_000_000)), "reuse_within"),
        (submit(reuse_within=Duration(seconds=30 * 86_400, nanos=1)), "reuse_within"),
        (submit(reuse_within=Duration(seconds=30 * 86_400 + 1)), "reuse_within"),
    ],
)
def test_a_violation_names_its_field(request_: pb.SubmitImageRequest, field: str) -> None:
    """Each limit of the contract is checked, and the violation names the field."""
    assert invalid_fields(request_) == [field]


def test_all_violations_are_reported_at_once() -> None:
    """One response contains all violations."""
    message = submit("x", "", "y", {"": "", "key": "v" * 65})
    assert sorted(invalid_fields(message)) == sorted(
        ["url", "customer_id", "request_id", "labels", 'labels["key"]']
    )


@pytest.mark.parametrize(
    "request_",
    [
        submit(),
        submit(url="https://images.example/" + "a" * (8_190 - len("https://images.example/"))),
        submit(url="s3://uploads/a b%20c?d#e"),
        submit(customer_id="a" * 128),
        submit(customer_id="A-Z_a.z:0-9"),
        submit(labels={f"{number:064}": "v" * 64 for number in range(10)}),
        submit(labels={"empty": ""}),
        submit(lane=pb.LANE_INTERACTIVE),
        submit(lane=pb.LANE_BULK),
    ],
)
def test_values_at_the_limits_are_accepted_unchanged(request_: pb.SubmitImageRequest) -> None:
    """The limits are inclusive, and no value is changed."""
    request = parse_submit(request_, {})
    assert (request.origin_url, request.customer_id) == (request_.url, request_.customer_id)
    assert request.labels == dict(request_.labels)


def test_new_ids_are_random_uuids() -> None:
    """Without a caller's id, each request gets a distinct UUID of version 4 in its canonical form."""
    ids = {parse_submit(submit(), {}).request_id for _ in range(1_000)}
    assert len(ids) == 1_000
    for each in ids:
        parsed = uuid.UUID(each)
        assert (str(parsed), parsed.version, parsed.variant) == (each, 4, uuid.RFC_4122)


def test_an_id_is_compared_in_lower_case() -> None:
    """RFC 9562 accepts both cases, so both spellings are the same request."""
    assert parse_submit(submit(request_id=ID.upper()), {}).request_id == ID
    assert parse_request_id(pb.GetStatusRequest(request_id=ID.upper())) == ID


@pytest.mark.parametrize("request_id", ["", "1", ID + "0"])
def test_a_status_needs_an_id(request_id: str) -> None:
    """GetStatus without a UUID is rejected before anything is read."""
    with pytest.raises(InvalidRequest) as refused:
        parse_request_id(pb.GetStatusRequest(request_id=request_id))
    assert [violation.field for violation in refused.value.violations] == ["request_id"]


@pytest.mark.parametrize(
    ("ids", "fields"),
    [
        ([], ["request_ids"]),
        ([ID] * 101, ["request_ids"]),
        ([ID, "x", OTHER_ID], ["request_ids[1]"]),
        ([ID, OTHER_ID, ID.upper()], ["request_ids[2]"]),
    ],
)
def test_a_watch_has_up_to_100_distinct_ids(ids: list[str], fields: list[str]) -> None:
    """A violation in a list contains the position."""
    with pytest.raises(InvalidRequest) as refused:
        parse_watch(pb.WatchRequestRequest(request_ids=ids))
    assert [violation.field for violation in refused.value.violations] == fields


def test_a_watch_keeps_the_order_of_its_ids() -> None:
    """A watch has up to 100 distinct ids, and they stay in order."""
    ids = [f"{number:08x}-7a59-4c39-9d0f-3c3a9b0a1f11" for number in range(100)]
    assert parse_watch(pb.WatchRequestRequest(request_ids=ids)) == tuple(ids)


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        (pb.SubmitImagesRequest(item_id="1", image=submit()), []),
        (pb.SubmitImagesRequest(item_id="é" * 32, image=submit(request_id=ID)), []),
        (pb.SubmitImagesRequest(image=submit()), ["item_id"]),
        (pb.SubmitImagesRequest(item_id="é" * 32 + "a", image=submit()), ["item_id"]),
        (pb.SubmitImagesRequest(item_id="1"), ["image.url", "image.customer_id"]),
        (
            pb.SubmitImagesRequest(image=submit(labels={"key": "é" * 33})),
            ["item_id", 'image.labels["key"]'],
        ),
    ],
)
def test_an_item_is_validated_like_its_image(
    item: pb.SubmitImagesRequest, fields: list[str]
) -> None:
    """The limits of SubmitImage hold for each item of a stream; fields are paths within the item."""
    try:
        assert payload(parse_submit_item(item, {})) == payload(parse_submit(item.image, {}))
        found = []
    except InvalidRequest as refused:
        found = [violation.field for violation in refused.violations]
    assert found == fields


def payload(request: ImageRequest) -> tuple[str, str]:
    return request.origin_url, request.payload_hash


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, 0),
        (Timestamp(seconds=1_900_000_000, nanos=123_999_999), 1_900_000_000_123),
        (Timestamp(nanos=999_999), 1),
        (Timestamp(), 1),
        (Timestamp(seconds=-62_135_596_800), 1),
        (Timestamp(seconds=253_402_300_799, nanos=999_999_999), 253_402_300_799_999),
    ],
)
def test_not_after_is_kept_in_milliseconds(given: Timestamp | None, stored: int) -> None:
    """No later than the caller said. 0 stands for no limit, so a time before 1970 is the first millisecond."""
    assert parse_submit(submit(not_after=given), {}).not_after == stored


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, 0),
        (Duration(seconds=1), 1_000),
        (Duration(seconds=1, nanos=999_999_999), 1_999),
        (Duration(seconds=30 * 86_400), 2_592_000_000),
    ],
)
def test_reuse_within_is_kept_in_milliseconds(given: Duration | None, stored: int) -> None:
    assert parse_submit(submit(reuse_within=given), {}).reuse_within == stored

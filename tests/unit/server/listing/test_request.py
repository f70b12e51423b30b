"""What a message that asks for a list may say."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from core.dynamodb.indexes import BY_CUSTOMER, BY_FAILURE, TimeRange
from core.model.request import ImageRequest, State
from imageservice.v1 import image_service_pb2 as pb
from server.errors import InvalidRequest
from server.listing.merge import FromTime
from server.listing.page_token import encode
from server.listing.query import ALL_TIMES, LATEST, Kind, ListQuery
from server.listing.request import parse_list_images, parse_list_requests


def asked(**fields: Any) -> pb.ListRequestsRequest:
    return pb.ListRequestsRequest(**{"customer_id": "acme", **fields})


def at(milliseconds: int, nanos: int = 0) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(milliseconds * 1_000_000 + nanos)
    return time


def request_of(created_at: int, state: State) -> ImageRequest:
    return ImageRequest("id", "acme", "url", "hash", created_at, created_at, state=state)


@pytest.mark.parametrize(
    ("fields", "faulty"),
    [
        ({"customer_id": ""}, ["customer_id"]),
        ({"customer_id": "acme#1"}, ["customer_id"]),
        ({"state": 99}, ["state"]),
        ({"page_size": -1}, ["page_size"]),
        ({"page_token": "x"}, ["page_token"]),
        ({"created_after": at(5), "created_before": at(5)}, ["created_before"]),
        ({"created_after": Timestamp(seconds=2**60)}, ["created_after"]),
        ({"created_before": Timestamp(nanos=-1)}, ["created_before"]),
        ({"customer_id": "", "state": 99, "page_size": -1}, ["customer_id", "state", "page_size"]),
    ],
)
def test_a_fault_is_told_by_its_field(fields: dict[str, object], faulty: list[str]) -> None:
    """Each limit of the contract is checked; a token is judged once the rest is right."""
    with pytest.raises(InvalidRequest) as refused:
        parse_list_requests(asked(**fields))
    assert [fault.field for fault in refused.value.violations] == faulty


@pytest.mark.parametrize(("given", "taken"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000)])
def test_a_pages_size_is_coerced(given: int, taken: int) -> None:
    """AIP-158: nothing said is the default, more than the limit is the limit."""
    assert parse_list_requests(asked(page_size=given)).page_size == taken


@pytest.mark.parametrize(
    ("fields", "created"),
    [
        ({}, ALL_TIMES),
        ({"created_after": at(5)}, TimeRange(5, LATEST)),
        ({"created_after": at(5, nanos=1)}, TimeRange(6, LATEST)),
        ({"created_before": at(5)}, TimeRange(0, 4)),
        ({"created_before": at(5, nanos=1)}, TimeRange(0, 5)),
        ({"created_after": at(-5), "created_before": at(-1)}, TimeRange(0, -2)),
        ({"created_before": Timestamp(seconds=253_402_300_799)}, TimeRange(0, 253_402_300_798_999)),
    ],
)
def test_spans_of_time_are_half_open(fields: dict[str, object], created: TimeRange) -> None:
    """FromTime `created_after` on, to before `created_before`, in the milliseconds that rows are kept in."""
    assert parse_list_requests(asked(**fields)).query.created == created


def test_a_list_of_images_is_asked_for_alike() -> None:
    """Its token carries the same positions, and is not one of requests."""
    query = ListQuery(Kind.IMAGES, "acme")
    token = encode(query, [FromTime(7)])
    images = parse_list_images(pb.ListImagesRequest(customer_id="acme", page_token=token))
    assert (images.query, images.cursors) == (query, (FromTime(7),))
    with pytest.raises(InvalidRequest):
        parse_list_requests(asked(page_token=token))


def test_failures_are_found_by_when_they_failed() -> None:
    """Their index knows no time of creation, which is looked up; clocks that differ hide none."""
    created = TimeRange(5_000_000_000, 6_000_000_000)
    query = ListQuery(Kind.REQUESTS, "acme", State.FAILED, created)
    assert (query.index, query.key_times) == (BY_FAILURE, TimeRange(4_996_400_000, LATEST))
    assert query.matches(request_of(5_000_000_000, State.FAILED))
    assert not query.matches(request_of(4_999_999_999, State.FAILED))
    assert not query.matches(request_of(5_000_000_000, State.PENDING))


def test_any_state_is_found_by_when_it_was_created() -> None:
    """All other lists have one index, and pick from it."""
    for state in (None, State.PENDING, State.COMPLETED):
        query = ListQuery(Kind.REQUESTS, "acme", state, TimeRange(5, 9))
        assert (query.index, query.key_times) == (BY_CUSTOMER, TimeRange(5, 9))
        assert query.matches(request_of(5, State.PENDING)) is (state is not State.COMPLETED)

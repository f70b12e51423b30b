"""Parsing of list messages."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from core.dynamodb.index_query import BY_CUSTOMER, BY_FAILURE, TimeRange
from core.model.request import ImageRequest, State
from imageservice.v1 import image_service_pb2 as pb
from server.errors import InvalidRequest
from server.listing.merge import FromTime
from server.listing.page_token import encode
from server.listing.query import ALL_TIMES, LATEST, Kind, ListQuery
from server.listing.request import parse_list_images, parse_list_requests


def message(**fields: Any) -> pb.ListRequestsRequest:
    return pb.ListRequestsRequest(**{"customer_id": "acme", **fields})


def at(milliseconds: int, nanos: int = 0) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(milliseconds * 1_000_000 + nanos)
    return time


def request_of(created_at: int, state: State) -> ImageRequest:
    return ImageRequest("id", "acme", "url", "hash", created_at, created_at, state=state)


@pytest.mark.parametrize(
    ("fields", "invalid"),
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
def test_a_violation_names_its_field(fields: dict[str, object], invalid: list[str]) -> None:
    """Each limit of the contract is checked; the token is checked if all other fields are valid."""
    with pytest.raises(InvalidRequest) as refused:
        parse_list_requests(message(**fields))
    assert [violation.field for violation in refused.value.violations] == invalid


@pytest.mark.parametrize(("given", "expected"), [(0, 50), (1, 1), (1_000, 1_000), (1_001, 1_000)])
def test_the_page_size_is_clamped(given: int, expected: int) -> None:
    """AIP-158: 0 means the default, and a larger size means the limit."""
    assert parse_list_requests(message(page_size=given)).page_size == expected


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
def test_time_ranges_are_half_open(fields: dict[str, object], created: TimeRange) -> None:
    """From `created_after`, included, to `created_before`, excluded, in milliseconds."""
    assert parse_list_requests(message(**fields)).query.created == created


def test_a_list_of_images_is_parsed_alike() -> None:
    """Its token has the same cursors, but is not valid for a list of requests."""
    query = ListQuery(Kind.IMAGES, "acme")
    token = encode(query, [FromTime(7)])
    images = parse_list_images(pb.ListImagesRequest(customer_id="acme", page_token=token))
    assert (images.query, images.cursors) == (query, (FromTime(7),))
    with pytest.raises(InvalidRequest):
        parse_list_requests(message(page_token=token))


def test_failed_requests_are_listed_by_time_of_failure() -> None:
    """Their index has no creation time, so the row is checked; clock skew hides no request."""
    created = TimeRange(5_000_000_000, 6_000_000_000)
    query = ListQuery(Kind.REQUESTS, "acme", State.FAILED, created)
    assert (query.index, query.key_times) == (BY_FAILURE, TimeRange(4_996_400_000, LATEST))
    assert query.matches(request_of(5_000_000_000, State.FAILED))
    assert not query.matches(request_of(4_999_999_999, State.FAILED))
    assert not query.matches(request_of(5_000_000_000, State.PENDING))


def test_other_states_are_listed_by_creation_time() -> None:
    """All other lists filter one index."""
    for state in (None, State.PENDING, State.COMPLETED):
        query = ListQuery(Kind.REQUESTS, "acme", state, TimeRange(5, 9))
        assert (query.index, query.key_times) == (BY_CUSTOMER, TimeRange(5, 9))
        assert query.matches(request_of(5, State.PENDING)) is (state is not State.COMPLETED)

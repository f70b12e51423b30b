"""Parses and validates ListRequests and ListImages messages. Pure."""

from dataclasses import dataclass
from functools import partial

from core.dynamodb.index_query import TimeRange
from core.model.request import State
from imageservice.v1 import image_service_pb2 as pb
from server.converters import STATES
from server.errors import FieldViolation, InvalidRequest
from server.listing.merge import Cursor
from server.listing.page_token import decode
from server.listing.query import ALL_TIMES, LATEST, Kind, ListQuery
from server.paging import page_size_violations, parse_page_token
from server.validation import create_time_range, create_time_violations, customer_violations

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

_STATES = {number: state for state, number in STATES.items()}


@dataclass(frozen=True, slots=True)
class ListPageRequest:
    """One page of a list. `cursors` come from the page token; the first page has none."""

    query: ListQuery
    page_size: int
    cursors: tuple[Cursor, ...] = ()


def parse_list_requests(message: pb.ListRequestsRequest) -> ListPageRequest:
    """Raises InvalidRequest."""
    known = message.state == pb.STATE_UNSPECIFIED or message.state in _STATES
    violations = [] if known else [FieldViolation("state", "Must be a state of this contract.")]
    return _parse(message, Kind.REQUESTS, _STATES.get(message.state), violations)


def parse_list_images(message: pb.ListImagesRequest) -> ListPageRequest:
    """Raises InvalidRequest."""
    return _parse(message, Kind.IMAGES, None, [])


def _parse(
    message: pb.ListRequestsRequest | pb.ListImagesRequest,
    kind: Kind,
    state: State | None,
    violations: list[FieldViolation],
) -> ListPageRequest:
    violations = [
        *customer_violations(message.customer_id),
        *violations,
        *create_time_violations(message),
        *page_size_violations(message.page_size),
    ]
    if violations:
        raise InvalidRequest(tuple(violations))
    query = ListQuery(kind, message.customer_id, state, _created(message))
    page_size = min(message.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    first_page: tuple[Cursor, ...] = ()
    cursors = parse_page_token(message.page_token, partial(decode, query), first_page)
    return ListPageRequest(query, page_size, cursors)


def _created(message: pb.ListRequestsRequest | pb.ListImagesRequest) -> TimeRange:
    first, last = create_time_range(message)
    return TimeRange(
        max(0, first) if first is not None else ALL_TIMES.first,
        min(LATEST, last) if last is not None else ALL_TIMES.last,
    )

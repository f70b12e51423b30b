"""Whether a message that asks for a list keeps to the contract, and what it asks for. Pure."""

from dataclasses import dataclass

from core.dynamodb.indexes import TimeRange
from core.model.request import State
from imageservice.v1 import image_service_pb2 as pb
from server.converters import STATES
from server.errors import FieldViolation, InvalidRequest
from server.listing.merge import Position
from server.listing.page_token import BadToken, decode
from server.listing.query import ALL_TIMES, LATEST, Kind, ListQuery
from server.validation import (
    create_time_faults,
    create_time_from,
    create_time_until,
    customer_faults,
)

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

_STATES = {number: state for state, number in STATES.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """One page of a list. `positions` are those of its token, none for the first page."""

    query: ListQuery
    page_size: int
    positions: tuple[Position, ...] = ()


def parse_list_requests(request: pb.ListRequestsRequest) -> Asked:
    """Raises InvalidRequest."""
    known = request.state == pb.STATE_UNSPECIFIED or request.state in _STATES
    faults = [] if known else [FieldViolation("state", "Must be a state of this contract.")]
    return _asked(request, Kind.REQUESTS, _STATES.get(request.state), faults)


def parse_list_images(request: pb.ListImagesRequest) -> Asked:
    """Raises InvalidRequest."""
    return _asked(request, Kind.IMAGES, None, [])


def _asked(
    request: pb.ListRequestsRequest | pb.ListImagesRequest,
    kind: Kind,
    state: State | None,
    faults: list[FieldViolation],
) -> Asked:
    faults = [*customer_faults(request.customer_id), *faults, *create_time_faults(request)]
    if request.page_size < 0:
        faults.append(FieldViolation("page_size", "Must not be negative."))
    if faults:
        raise InvalidRequest(tuple(faults))
    query = ListQuery(kind, request.customer_id, state, _created(request))
    size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return Asked(query, size, _positions(query, request.page_token))


def _positions(query: ListQuery, token: str) -> tuple[Position, ...]:
    if not token:
        return ()
    try:
        return decode(query, token)
    except BadToken:
        fault = "Must be a next_page_token that was answered to the same fields."
        raise InvalidRequest((FieldViolation("page_token", fault),)) from None


def _created(request: pb.ListRequestsRequest | pb.ListImagesRequest) -> TimeRange:
    first, last = create_time_from(request), create_time_until(request)
    return TimeRange(
        max(0, first) if first is not None else ALL_TIMES.first,
        min(LATEST, last) if last is not None else ALL_TIMES.last,
    )

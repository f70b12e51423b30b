"""Whether a message that asks for a list keeps to the contract, and what it asks for. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from core.indexes import Span
from core.request import State
from imageservice.v1 import image_service_pb2 as pb
from server.listing.merge import Position
from server.listing.page_token import BadToken, decode
from server.listing.query import ALL_TIMES, LATEST, Kind, ListQuery
from server.refusals import FieldViolation, InvalidRequest
from server.translation import STATES
from server.validation import customer_faults

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1_000

_STATES = {number: state for state, number in STATES.items()}
# 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp.
_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
_NANOS_A_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """One page of a list. `positions` are those of its token, none for the first page."""

    query: ListQuery
    page_size: int
    positions: tuple[Position, ...] = ()


def asked_requests(request: pb.ListRequestsRequest) -> Asked:
    """Raises InvalidRequest."""
    known = request.state == pb.STATE_UNSPECIFIED or request.state in _STATES
    faults = [] if known else [FieldViolation("state", "Must be a state of this contract.")]
    return _asked(request, Kind.REQUESTS, _STATES.get(request.state), faults)


def asked_images(request: pb.ListImagesRequest) -> Asked:
    """Raises InvalidRequest."""
    return _asked(request, Kind.IMAGES, None, [])


def _asked(
    request: pb.ListRequestsRequest | pb.ListImagesRequest,
    kind: Kind,
    state: State | None,
    faults: list[FieldViolation],
) -> Asked:
    faults = [*customer_faults(request.customer_id), *faults, *_time_faults(request)]
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


def _time_faults(
    request: pb.ListRequestsRequest | pb.ListImagesRequest,
) -> Iterator[FieldViolation]:
    after, before = request.created_after, request.created_before
    for field, time in (("created_after", after), ("created_before", before)):
        if time.seconds not in _SECONDS or time.nanos not in _NANOS:
            yield FieldViolation(field, "Must be a time from the years 1 to 9999.")
    both = request.HasField("created_after") and request.HasField("created_before")
    if both and (after.seconds, after.nanos) >= (before.seconds, before.nanos):
        yield FieldViolation("created_before", "Must be later than created_after.")


def _created(request: pb.ListRequestsRequest | pb.ListImagesRequest) -> Span:
    first, last = ALL_TIMES
    if request.HasField("created_after"):
        first = max(first, _milliseconds_up(request.created_after))
    if request.HasField("created_before"):
        last = min(LATEST, _milliseconds_up(request.created_before) - 1)
    return Span(first, last)


def _milliseconds_up(time: Timestamp) -> int:
    """The first whole millisecond that is not before `time`."""
    return -(-(time.ToNanoseconds()) // _NANOS_A_MS)

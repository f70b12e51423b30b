"""The times of creation that a message asks for: from created_after on, to before created_before. Pure."""

from collections.abc import Iterator

from google.protobuf.timestamp_pb2 import Timestamp

from imageservice.v1 import image_service_pb2 as pb
from server.refusals import FieldViolation

Spanned = pb.ListRequestsRequest | pb.ListImagesRequest | pb.SearchImagesRequest

# 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp.
_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
_NANOS_A_MS = 1_000_000


def time_faults(request: Spanned) -> Iterator[FieldViolation]:
    after, before = request.created_after, request.created_before
    for field, time in (("created_after", after), ("created_before", before)):
        if time.seconds not in _SECONDS or time.nanos not in _NANOS:
            yield FieldViolation(field, "Must be a time from the years 1 to 9999.")
    both = request.HasField("created_after") and request.HasField("created_before")
    if both and (after.seconds, after.nanos) >= (before.seconds, before.nanos):
        yield FieldViolation("created_before", "Must be later than created_after.")


def first_created(request: Spanned) -> int | None:
    """Milliseconds since the epoch; None where the message does not say."""
    if not request.HasField("created_after"):
        return None
    return _milliseconds_up(request.created_after)


def last_created(request: Spanned) -> int | None:
    """Milliseconds since the epoch; None where the message does not say."""
    if not request.HasField("created_before"):
        return None
    return _milliseconds_up(request.created_before) - 1


def _milliseconds_up(time: Timestamp) -> int:
    """The first whole millisecond that is not before `time`."""
    return -(-(time.ToNanoseconds()) // _NANOS_A_MS)

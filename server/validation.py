"""Whether a request message keeps to the contract's limits. Pure; every fault is found, not the first alone."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from google.protobuf.timestamp_pb2 import Timestamp

from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from imageservice.v1 import image_service_pb2 as pb
from server.errors import FieldViolation, InvalidRequest

# The times of creation that a message asks for: from created_after on, to before created_before. Pure.

Spanned = pb.ListRequestsRequest | pb.ListImagesRequest | pb.SearchImagesRequest

# 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp.
_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
_NANOS_A_MS = 1_000_000


def create_time_faults(request: Spanned) -> Iterator[FieldViolation]:
    after, before = request.created_after, request.created_before
    for field, time in (("created_after", after), ("created_before", before)):
        if time.seconds not in _SECONDS or time.nanos not in _NANOS:
            yield FieldViolation(field, "Must be a time from the years 1 to 9999.")
    both = request.HasField("created_after") and request.HasField("created_before")
    if both and (after.seconds, after.nanos) >= (before.seconds, before.nanos):
        yield FieldViolation("created_before", "Must be later than created_after.")


def create_time_from(request: Spanned) -> int | None:
    """Milliseconds since the epoch; None where the message does not say."""
    if not request.HasField("created_after"):
        return None
    return _milliseconds_up(request.created_after)


def create_time_until(request: Spanned) -> int | None:
    """Milliseconds since the epoch; None where the message does not say."""
    if not request.HasField("created_before"):
        return None
    return _milliseconds_up(request.created_before) - 1


def _milliseconds_up(time: Timestamp) -> int:
    """The first whole millisecond that is not before `time`."""
    return -(-(time.ToNanoseconds()) // _NANOS_A_MS)


MAX_LABELS = 10
MAX_LABEL_BYTES = 64
MAX_ITEM_ID_BYTES = 64
MAX_WATCHED_IDS = 100
"""Ids in one watch."""

_CUSTOMER_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
# RFC 9562, section 4: lower case on output, either case on input.
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# RFC 9562, sections 5.9 and 5.10: these stand for "none", so two callers would meet under them.
_RESERVED_UUIDS = frozenset(
    {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}
)


@dataclass(frozen=True, slots=True)
class ValidSubmit:
    """`request_id` is in lower case, or None where the caller chose none."""

    url: str
    customer_id: str
    request_id: str | None
    labels: Mapping[str, str]


def valid_submit(request: pb.SubmitImageRequest) -> ValidSubmit:
    """Raises InvalidRequest."""
    submit = _submit_fields(request)
    if faults := _submit_faults(submit):
        raise InvalidRequest(tuple(faults))
    return submit


def valid_item(item: pb.SubmitImagesRequest) -> ValidSubmit:
    """Raises InvalidRequest, whose fields are paths within the item."""
    submit = _submit_fields(item.image)
    faults = _submit_faults(submit)
    id_fits = 1 <= len(item.item_id.encode()) <= MAX_ITEM_ID_BYTES
    if id_fits and not faults:
        return submit
    within = [replace(fault, field=f"image.{fault.field}") for fault in faults]
    if not id_fits:
        within.insert(0, FieldViolation("item_id", f"Must be 1 to {MAX_ITEM_ID_BYTES} bytes."))
    raise InvalidRequest(tuple(within))


def echoed_item_id(item: pb.SubmitImagesRequest) -> str:
    """The item's id as it is sent back: one that is too long is cut to the longest that is allowed."""
    return item.item_id.encode()[:MAX_ITEM_ID_BYTES].decode(errors="ignore")


def valid_request_id(request: pb.GetStatusRequest) -> str:
    """Raises InvalidRequest."""
    _raise_any(*_id_faults("request_id", request.request_id))
    return request.request_id.lower()


def valid_image_id(request: pb.GetImageRequest) -> str:
    """Raises InvalidRequest."""
    _raise_any(*_id_faults("image_id", request.image_id))
    return request.image_id.lower()


def valid_watch(request: pb.WatchRequestRequest) -> tuple[str, ...]:
    """Raises InvalidRequest."""
    ids = tuple(request_id.lower() for request_id in request.request_ids)
    _raise_any(*_watch_faults(ids))
    return ids


def customer_faults(customer_id: str) -> Iterator[FieldViolation]:
    if not _CUSTOMER_ID.fullmatch(customer_id):
        yield FieldViolation("customer_id", "Must be 1 to 128 of A-Z a-z 0-9 _ . : and -.")


def label_faults(labels: Mapping[str, str]) -> Iterator[FieldViolation]:
    if len(labels) > MAX_LABELS:
        yield FieldViolation("labels", f"Must be at most {MAX_LABELS}.")
        return
    for key, value in labels.items():
        if not 1 <= len(key.encode()) <= MAX_LABEL_BYTES:
            yield FieldViolation("labels", f"Keys must be 1 to {MAX_LABEL_BYTES} bytes.")
        elif len(value.encode()) > MAX_LABEL_BYTES:
            yield FieldViolation(f'labels["{key}"]', f"Must be at most {MAX_LABEL_BYTES} bytes.")


def _raise_any(*violations: FieldViolation) -> None:
    if violations:
        raise InvalidRequest(violations)


def _submit_fields(request: pb.SubmitImageRequest) -> ValidSubmit:
    return ValidSubmit(
        url=request.url,
        customer_id=request.customer_id,
        request_id=request.request_id.lower() or None,
        labels=dict(request.labels),
    )


def _submit_faults(submit: ValidSubmit) -> list[FieldViolation]:
    faults: list[FieldViolation] = []
    try:
        parse_origin_url(submit.url)
    except InvalidOriginUrl as error:
        faults.append(FieldViolation("url", str(error)))
    faults += customer_faults(submit.customer_id)
    if submit.request_id:
        faults += _id_faults("request_id", submit.request_id)
    if submit.labels:
        faults += label_faults(submit.labels)
    return faults


def _id_faults(field: str, request_id: str) -> Iterator[FieldViolation]:
    canonical = request_id.lower()
    if not _UUID.fullmatch(canonical):
        yield FieldViolation(field, "Must be a UUID of 32 hexadecimal digits in five groups.")
    elif canonical in _RESERVED_UUIDS:
        yield FieldViolation(field, "Must not be the nil or the max UUID, which name nothing.")


def _watch_faults(ids: tuple[str, ...]) -> Iterator[FieldViolation]:
    if not 1 <= len(ids) <= MAX_WATCHED_IDS:
        yield FieldViolation("request_ids", f"Must be 1 to {MAX_WATCHED_IDS} ids.")
        return
    seen: set[str] = set()
    for position, request_id in enumerate(ids):
        field = f"request_ids[{position}]"
        yield from _id_faults(field, request_id)
        if request_id in seen:
            yield FieldViolation(field, "Must not name an id a second time.")
        seen.add(request_id)

"""Validation of messages against the limits of the contract. Reports every violation, not only the first."""

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from google.protobuf.timestamp_pb2 import Timestamp

from core.model.object_url import is_object_url, parse_object_url
from core.model.origin_url import InvalidOriginUrl, check_origin_url
from core.model.rendition import Presets
from core.model.request import CUSTOMER_ID, UUID, ImageRequest, new_request
from core.runtime.clock import now_ms
from imageservice.v1 import image_service_pb2 as pb
from server.errors import FieldViolation, InvalidRequest

MAX_LABELS = 10
MAX_LABEL_BYTES = 64
MAX_ITEM_ID_BYTES = 64
MAX_RENDITIONS = 8
"""Renditions in one submit, and in one CreateRenditions."""
MAX_WATCHED_IDS = 100
"""Ids in one watch."""
MAX_REUSE_DAYS = 30

# RFC 9562, sections 5.9 and 5.10: the nil and the max UUID stand for "none", so two callers may use the same one.
_RESERVED_UUIDS = frozenset(
    {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}
)

# 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, the range of google.protobuf.Timestamp.
_SECONDS = range(-62_135_596_800, 253_402_300_800)
_NANOS = range(1_000_000_000)
_TIME_RULE = "Must be a time from the years 1 to 9999."
_NANOS_PER_MS = 1_000_000

_LANES = frozenset(pb.Lane.values())
_REUSE_SECONDS = range(1, MAX_REUSE_DAYS * 86_400 + 1)

HasCreateTime = pb.ListRequestsRequest | pb.ListImagesRequest | pb.SearchImagesRequest


def parse_submit(message: pb.SubmitImageRequest, presets: Presets) -> ImageRequest:
    """Return a request created now, with the caller's id in lower case or a new id. Raises InvalidRequest."""
    if violations := _submit_violations(message, presets):
        raise InvalidRequest(tuple(violations))
    return _new_request(message)


def parse_submit_item(item: pb.SubmitImagesRequest, presets: Presets) -> ImageRequest:
    """As parse_submit. Raises InvalidRequest; its fields are paths within the item."""
    image = item.image
    violations = [
        replace(violation, field=f"image.{violation.field}")
        for violation in _submit_violations(image, presets)
    ]
    if not 1 <= len(item.item_id.encode()) <= MAX_ITEM_ID_BYTES:
        rule = f"Must be 1 to {MAX_ITEM_ID_BYTES} bytes."
        violations.insert(0, FieldViolation("item_id", rule))
    if violations:
        raise InvalidRequest(tuple(violations))
    return _new_request(image)


def echoed_item_id(item: pb.SubmitImagesRequest) -> str:
    """Return the item's id for its result. An id that is too long is truncated to the longest valid length."""
    return item.item_id.encode()[:MAX_ITEM_ID_BYTES].decode(errors="ignore")


def parse_request_id(message: pb.GetStatusRequest) -> str:
    """Return the id in lower case. Raises InvalidRequest."""
    return _parse_id("request_id", message.request_id)


def parse_image_id(message: pb.GetImageRequest) -> str:
    """Return the id in lower case. Raises InvalidRequest."""
    return _parse_id("image_id", message.image_id)


def parse_watch(message: pb.WatchRequestRequest) -> tuple[str, ...]:
    """Return the ids in lower case and in their order. Raises InvalidRequest."""
    ids = tuple(request_id.lower() for request_id in message.request_ids)
    if violations := tuple(_watch_violations(ids)):
        raise InvalidRequest(violations)
    return ids


def parse_create_renditions(
    message: pb.CreateRenditionsRequest, presets: Presets
) -> tuple[str, tuple[str, ...]]:
    """Return the image id in lower case, and the presets. Raises InvalidRequest."""
    names = tuple(message.presets)
    violations = [*_id_violations("image_id", message.image_id)]
    violations += preset_violations("presets", names, presets)
    if not names:
        violations.append(FieldViolation("presets", f"Must be 1 to {MAX_RENDITIONS} presets."))
    if violations:
        raise InvalidRequest(tuple(violations))
    return message.image_id.lower(), names


def preset_violations(
    field: str, names: Sequence[str], presets: Presets
) -> Iterator[FieldViolation]:
    if len(names) > MAX_RENDITIONS:
        yield FieldViolation(field, f"Must be at most {MAX_RENDITIONS}.")
        return
    for position, name in enumerate(names):
        if name not in presets:
            known = ", ".join(sorted(presets)) or "none"
            yield FieldViolation(f"{field}[{position}]", f"Unknown preset; known are: {known}.")
        elif name in names[:position]:
            yield FieldViolation(f"{field}[{position}]", "Must not be the same as an earlier one.")


def customer_violations(customer_id: str) -> Sequence[FieldViolation]:
    if CUSTOMER_ID.fullmatch(customer_id):
        return ()
    return (FieldViolation("customer_id", "Must be 1 to 128 of A-Z a-z 0-9 _ . : and -."),)


def label_violations(labels: Mapping[str, str]) -> Iterator[FieldViolation]:
    if len(labels) > MAX_LABELS:
        yield FieldViolation("labels", f"Must be at most {MAX_LABELS}.")
        return
    for key, value in labels.items():
        if not 1 <= len(key.encode()) <= MAX_LABEL_BYTES:
            yield FieldViolation("labels", f"Keys must be 1 to {MAX_LABEL_BYTES} bytes.")
        elif len(value.encode()) > MAX_LABEL_BYTES:
            yield FieldViolation(f'labels["{key}"]', f"Must be at most {MAX_LABEL_BYTES} bytes.")


def create_time_violations(message: HasCreateTime) -> Iterator[FieldViolation]:
    after, before = message.created_after, message.created_before
    for field, time in (("created_after", after), ("created_before", before)):
        if not _is_valid(time):
            yield FieldViolation(field, _TIME_RULE)
    both = message.HasField("created_after") and message.HasField("created_before")
    if both and (after.seconds, after.nanos) >= (before.seconds, before.nanos):
        yield FieldViolation("created_before", "Must be later than created_after.")


def _is_valid(time: Timestamp) -> bool:
    return time.seconds in _SECONDS and time.nanos in _NANOS


def create_time_range(message: HasCreateTime) -> tuple[int | None, int | None]:
    """Return the first and the last creation time in milliseconds since the epoch; None for an end that is not set.

    The range of a message is half-open: from `created_after`, included, to `created_before`, excluded.
    """
    first = last = None
    if message.HasField("created_after"):
        first = _ceil_ms(message.created_after)
    if message.HasField("created_before"):
        last = _ceil_ms(message.created_before) - 1
    return first, last


def _ceil_ms(time: Timestamp) -> int:
    """Return the first whole millisecond that is not before `time`."""
    return -(-(time.ToNanoseconds()) // _NANOS_PER_MS)


def _new_request(message: pb.SubmitImageRequest) -> ImageRequest:
    return new_request(
        request_id=message.request_id.lower() or _random_id(),
        customer_id=message.customer_id,
        url=message.url,
        labels=message.labels,
        renditions=tuple(message.renditions),
        not_after=_not_after_ms(message),
        reuse_within=_reuse_within_ms(message),
        submit_id=secrets.token_hex(4) if message.request_id else "",
        now=now_ms(),
    )


def _random_id() -> str:
    """Return a random UUID (version 4: RFC 9562, section 5.4). Most of the time of uuid.uuid4 goes into its object."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _submit_violations(message: pb.SubmitImageRequest, presets: Presets) -> list[FieldViolation]:
    violations: list[FieldViolation] = []
    url = message.url
    try:
        if is_object_url(url):
            parse_object_url(url)
        else:
            check_origin_url(url)
    except InvalidOriginUrl as error:
        violations.append(FieldViolation("url", str(error)))
    violations += customer_violations(message.customer_id)
    if message.request_id:
        violations += _id_violations("request_id", message.request_id)
    if message.labels:
        violations += label_violations(message.labels)
    if message.renditions:
        violations += preset_violations("renditions", message.renditions, presets)
    if message.lane not in _LANES:
        violations.append(FieldViolation("lane", "Must be a lane of this contract."))
    if message.HasField("not_after") or message.HasField("reuse_within"):
        violations += _fetch_violations(message)
    return violations


def _fetch_violations(message: pb.SubmitImageRequest) -> Iterator[FieldViolation]:
    if message.HasField("not_after") and not _is_valid(message.not_after):
        yield FieldViolation("not_after", _TIME_RULE)
    if message.HasField("reuse_within"):
        within = message.reuse_within
        longest = within.seconds == _REUSE_SECONDS[-1]
        if within.seconds not in _REUSE_SECONDS or within.nanos not in (
            _NANOS[:1] if longest else _NANOS
        ):
            yield FieldViolation("reuse_within", f"Must be 1 second to {MAX_REUSE_DAYS} days.")


def _not_after_ms(message: pb.SubmitImageRequest) -> int:
    """Return the last whole millisecond that is not after the time; 0 if it is not set."""
    if not message.HasField("not_after"):
        return 0
    # 0 stands for no limit. Every time before 1970 is as far in the past as its first millisecond.
    return max(1, message.not_after.ToNanoseconds() // _NANOS_PER_MS)


def _reuse_within_ms(message: pb.SubmitImageRequest) -> int:
    """Return the whole milliseconds; 0 if it is not set."""
    return message.reuse_within.ToMilliseconds() if message.HasField("reuse_within") else 0


def _parse_id(field: str, value: str) -> str:
    if violations := tuple(_id_violations(field, value)):
        raise InvalidRequest(violations)
    return value.lower()


def _id_violations(field: str, value: str) -> Iterator[FieldViolation]:
    canonical = value.lower()
    if not UUID.fullmatch(canonical):
        yield FieldViolation(field, "Must be a UUID of 32 hexadecimal digits in five groups.")
    elif canonical in _RESERVED_UUIDS:
        yield FieldViolation(field, "Must not be the nil or the max UUID.")


def _watch_violations(ids: tuple[str, ...]) -> Iterator[FieldViolation]:
    if not 1 <= len(ids) <= MAX_WATCHED_IDS:
        yield FieldViolation("request_ids", f"Must be 1 to {MAX_WATCHED_IDS} ids.")
        return
    seen: set[str] = set()
    for position, request_id in enumerate(ids):
        field = f"request_ids[{position}]"
        yield from _id_violations(field, request_id)
        if request_id in seen:
            yield FieldViolation(field, "Must not be the same id as an earlier one.")
        seen.add(request_id)

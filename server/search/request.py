"""Parses and validates SearchImages messages. Pure."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from core.model.color import Color
from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from core.search.query import Range, SearchQuery, Similar, SortKey
from core.search.similarity import MAX_DISTANCE
from imageservice.v1 import image_service_pb2 as pb
from server.errors import FieldViolation, InvalidRequest
from server.paging import page_size_violations, parse_page_token
from server.search.page_token import decode
from server.search.query_text import InvalidQueryText, parse_query_text
from server.validation import (
    create_time_range,
    create_time_violations,
    customer_violations,
    label_violations,
)

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
DEFAULT_DISTANCE = 6
MAX_VALUES = 20
"""Values of one repeated field."""
MAX_VALUE_BYTES = 512
"""A camera has at most 128 characters, a host at most 253 bytes."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIC", "TIFF", "BMP")
COLORS = {pb.Color.Value(f"COLOR_{color}"): color for color in Color}

_HASH = re.compile(r"[0-9A-Fa-f]{16}")


@dataclass(frozen=True, slots=True)
class SearchPageRequest:
    """One page of a search. `after` comes from the page token; the first page has none."""

    query: SearchQuery
    page_size: int
    facets: bool
    after: SortKey | None = None


def parse_search(message: pb.SearchImagesRequest) -> SearchPageRequest:
    """Raises InvalidRequest."""
    if violations := tuple(_violations(message)):
        raise InvalidRequest(violations)
    query = _query(message)
    page_size = min(message.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    after = parse_page_token(message.page_token, partial(decode, query), None)
    return SearchPageRequest(query, page_size, message.facets, after)


def _query(message: pb.SearchImagesRequest) -> SearchQuery:
    """Sort values whose order has no meaning, so that page tokens do not depend on it."""
    return SearchQuery(
        customer_id=message.customer_id,
        words=parse_query_text(message.text),
        formats=_sorted_set(message.formats),
        colors=_sorted_set([COLORS[color] for color in message.colors]),
        cameras=_sorted_set(message.cameras),
        origin_hosts=_sorted_set([_host(host) for host in message.origin_hosts]),
        labels=tuple(sorted(message.labels.items())),
        width=_range(message.width),
        height=_range(message.height),
        bytes=_range(message.bytes),
        created=Range(*create_time_range(message)),
        similar=_similar(message),
    )


def _host(text: str) -> str:
    """Return the host in the form in which it is indexed. Text that is not a host matches nothing."""
    try:
        return parse_origin_url(f"http://{text}/").host
    except InvalidOriginUrl:
        return text.lower()


def _sorted_set(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in values}))


def _range(message: pb.IntRange) -> Range:
    return Range(
        message.min if message.HasField("min") else None,
        message.max if message.HasField("max") else None,
    )


def _similar(message: pb.SearchImagesRequest) -> Similar | None:
    if not message.similar_to:
        return None
    distance = message.max_distance if message.HasField("max_distance") else DEFAULT_DISTANCE
    return Similar(message.similar_to.lower(), distance)


def _violations(message: pb.SearchImagesRequest) -> Iterator[FieldViolation]:
    yield from customer_violations(message.customer_id)
    yield from _text_violations(message.text)
    yield from _list_violations(message)
    yield from label_violations(message.labels)
    for field in ("width", "height", "bytes"):
        yield from _range_violations(field, getattr(message, field))
    yield from create_time_violations(message)
    yield from _similar_violations(message)
    yield from page_size_violations(message.page_size)


def _text_violations(text: str) -> Iterator[FieldViolation]:
    try:
        parse_query_text(text)
    except InvalidQueryText as error:
        yield FieldViolation("text", str(error))


def _list_violations(message: pb.SearchImagesRequest) -> Iterator[FieldViolation]:
    length_rule = f"Must be 1 to {MAX_VALUE_BYTES} bytes."
    lists: tuple[tuple[str, Sequence[Any], Callable[[Any], bool], str], ...] = (
        ("formats", message.formats, FORMATS.__contains__, f"Must be {_any_of(FORMATS)}."),
        ("colors", message.colors, COLORS.__contains__, "Must be a color of this contract."),
        ("cameras", message.cameras, _has_valid_length, length_rule),
        ("origin_hosts", message.origin_hosts, _has_valid_length, length_rule),
    )
    for field, values, is_valid, rule in lists:
        # The count comes first: a message can contain a quarter of a million values.
        if len(values) > MAX_VALUES:
            yield FieldViolation(field, f"Must be at most {MAX_VALUES}.")
            continue
        for position, value in enumerate(values):
            if not is_valid(value):
                yield FieldViolation(f"{field}[{position}]", rule)


def _has_valid_length(value: str) -> bool:
    return 1 <= len(value.encode()) <= MAX_VALUE_BYTES


def _any_of(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _range_violations(field: str, message: pb.IntRange) -> Iterator[FieldViolation]:
    for end in ("min", "max"):
        if getattr(message, end) < 0:
            yield FieldViolation(f"{field}.{end}", "Must not be negative.")
    if message.HasField("min") and message.HasField("max") and message.min > message.max:
        yield FieldViolation(f"{field}.max", f"Must not be below {field}.min.")


def _similar_violations(message: pb.SearchImagesRequest) -> Iterator[FieldViolation]:
    if message.similar_to and not _HASH.fullmatch(message.similar_to):
        yield FieldViolation("similar_to", "Must be 16 hexadecimal digits.")
    if not message.HasField("max_distance"):
        return
    if not 0 <= message.max_distance <= MAX_DISTANCE:
        yield FieldViolation("max_distance", f"Must be 0 to {MAX_DISTANCE}.")
    if not message.similar_to:
        yield FieldViolation("max_distance", "Must not be set without similar_to.")

"""Whether a message that searches keeps to the contract, and what it asks for. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from core.model.origin_url import InvalidOriginUrl, parse_origin_url
from core.search.color import Color
from core.search.query import Range, SearchQuery, Similar, SortKey, Term
from core.search.similarity import MAX_DISTANCE
from core.search.tokenizer import tokenize
from imageservice.v1 import image_service_pb2 as pb
from server.errors import FieldViolation, InvalidRequest
from server.search.page_token import BadToken, decode
from server.validation import (
    create_time_faults,
    create_time_from,
    create_time_until,
    customer_faults,
    label_faults,
)

# The words that a search's text asks for. Pure.

MAX_WORDS = 16
MAX_BEGINNINGS = 3
"""Words with a * in one text: each stands for all words of the customer that begin so."""
SHORTEST_BEGINNING = 2
"""Characters; one would stand for a good part of all words."""
MAX_TEXT_BYTES = 256


class BadText(ValueError):
    """The text breaks the contract; `str()` is a sentence for the caller."""


def parse_query_text(text: str) -> tuple[Term, ...]:
    """The words of `text` in their order, each once; an empty text has none. Raises BadText."""
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise BadText(f"Must be at most {MAX_TEXT_BYTES} bytes.")
    asked: list[Term] = []
    runs = [(in_word, "".join(letters)) for in_word, letters in groupby(text, key=_in_word)]
    for position, (in_word, run) in enumerate(runs):
        if in_word:
            asked += map(Term, tokenize(run))
        elif "*" in run:
            follows_word = position > 0 and bool(tokenize(runs[position - 1][1]))
            is_within_word = run == "*" and position < len(runs) - 1
            if not follows_word or is_within_word or run.rfind("*") > 0:
                raise BadText("Must have a * at the end of a word only.")
            asked[-1] = Term(asked[-1].text, prefix=True)
    asked = list(dict.fromkeys(asked))
    if text and not asked:
        raise BadText("Must have a letter or a digit.")
    if len(asked) > MAX_WORDS:
        raise BadText(f"Must be at most {MAX_WORDS} words.")
    beginnings = [word for word in asked if word.prefix]
    if len(beginnings) > MAX_BEGINNINGS:
        raise BadText(f"Must have at most {MAX_BEGINNINGS} words with a *.")
    if any(len(word.text) < SHORTEST_BEGINNING for word in beginnings):
        raise BadText(f"Must have {SHORTEST_BEGINNING} letters or digits at least before a *.")
    return tuple(asked)


def _in_word(character: str) -> bool:
    """Marks belong to the letter before them, though words are kept without them."""
    return bool(tokenize(character)) or unicodedata.category(character).startswith("M")


DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
DEFAULT_DISTANCE = 6
MAX_VALUES = 20
"""Of one list."""
MAX_VALUE_BYTES = 512
"""A camera is at most 128 characters, a host at most 253 bytes."""

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP")
COLORS = {pb.Color.Value(f"COLOR_{color}"): color for color in Color}

_HASH = re.compile(r"[0-9A-Fa-f]{16}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One page of a search. `after` is the position of its token, None for the first page."""

    query: SearchQuery
    page_size: int
    facets: bool
    after: SortKey | None = None


def parse_search(request: pb.SearchImagesRequest) -> Asked:
    """Raises InvalidRequest."""
    if faults := tuple(_faults(request)):
        raise InvalidRequest(faults)
    query = _query(request)
    size = min(request.page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)
    return Asked(query, size, request.facets, _after(query, request.page_token))


def _query(request: pb.SearchImagesRequest) -> SearchQuery:
    """In an order of its own where the caller's means nothing, so that tokens do not depend on it."""
    return SearchQuery(
        customer_id=request.customer_id,
        words=parse_query_text(request.text),
        formats=_each_once(request.formats),
        colors=_each_once([COLORS[color] for color in request.colors]),
        cameras=_each_once(request.cameras),
        origin_hosts=_each_once([_host(host) for host in request.origin_hosts]),
        labels=tuple(sorted(request.labels.items())),
        width=_range(request.width),
        height=_range(request.height),
        bytes=_range(request.bytes),
        created=Range(create_time_from(request), create_time_until(request)),
        similar=_similar(request),
    )


def _after(query: SearchQuery, token: str) -> SortKey | None:
    if not token:
        return None
    try:
        return decode(query, token)
    except BadToken:
        fault = "Must be a next_page_token that was answered to the same fields."
        raise InvalidRequest((FieldViolation("page_token", fault),)) from None


def _host(written: str) -> str:
    """As it is looked up; what is no host at all is found nowhere."""
    try:
        return parse_origin_url(f"http://{written}/").host
    except InvalidOriginUrl:
        return written.lower()


def _each_once(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({str(value) for value in values}))


def _range(given: pb.IntRange) -> Range:
    return Range(
        given.min if given.HasField("min") else None, given.max if given.HasField("max") else None
    )


def _similar(request: pb.SearchImagesRequest) -> Similar | None:
    if not request.similar_to:
        return None
    given = request.HasField("max_distance")
    return Similar(request.similar_to.lower(), request.max_distance if given else DEFAULT_DISTANCE)


def _faults(request: pb.SearchImagesRequest) -> Iterator[FieldViolation]:
    yield from customer_faults(request.customer_id)
    yield from _text_faults(request.text)
    yield from _list_faults(request)
    yield from label_faults(request.labels)
    for field in ("width", "height", "bytes"):
        yield from _range_faults(field, getattr(request, field))
    yield from create_time_faults(request)
    yield from _similar_faults(request)
    if request.page_size < 0:
        yield FieldViolation("page_size", "Must not be negative.")


def _text_faults(text: str) -> Iterator[FieldViolation]:
    try:
        parse_query_text(text)
    except BadText as fault:
        yield FieldViolation("text", str(fault))


def _list_faults(request: pb.SearchImagesRequest) -> Iterator[FieldViolation]:
    fits = f"Must be 1 to {MAX_VALUE_BYTES} bytes."
    lists: tuple[tuple[str, Sequence[Any], Callable[[Any], bool], str], ...] = (
        ("formats", request.formats, FORMATS.__contains__, f"Must be {_or(FORMATS)}."),
        ("colors", request.colors, COLORS.__contains__, "Must be a color of this contract."),
        ("cameras", request.cameras, _fits, fits),
        ("origin_hosts", request.origin_hosts, _fits, fits),
    )
    for field, values, right, rule in lists:
        # Looked at first: a message has room for a quarter of a million.
        if len(values) > MAX_VALUES:
            yield FieldViolation(field, f"Must be at most {MAX_VALUES}.")
            continue
        for position, value in enumerate(values):
            if not right(value):
                yield FieldViolation(f"{field}[{position}]", rule)


def _fits(value: str) -> bool:
    return 1 <= len(value.encode()) <= MAX_VALUE_BYTES


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _range_faults(field: str, given: pb.IntRange) -> Iterator[FieldViolation]:
    for end in ("min", "max"):
        if getattr(given, end) < 0:
            yield FieldViolation(f"{field}.{end}", "Must not be negative.")
    if given.HasField("min") and given.HasField("max") and given.min > given.max:
        yield FieldViolation(f"{field}.max", f"Must not be below {field}.min.")


def _similar_faults(request: pb.SearchImagesRequest) -> Iterator[FieldViolation]:
    if request.similar_to and not _HASH.fullmatch(request.similar_to):
        yield FieldViolation("similar_to", "Must be 16 hexadecimal digits.")
    if not request.HasField("max_distance"):
        return
    if not 0 <= request.max_distance <= MAX_DISTANCE:
        yield FieldViolation("max_distance", f"Must be 0 to {MAX_DISTANCE}.")
    if not request.similar_to:
        yield FieldViolation("max_distance", "Must not be set without similar_to.")

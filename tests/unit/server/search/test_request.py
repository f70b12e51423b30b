"""Parsing of search messages."""

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from consumer.imaging import formats
from core.model.color import Color
from core.search.query import EVERYTHING, Range, SearchQuery, Similar, SortKey, Term
from imageservice.v1 import image_service_pb2 as pb
from server.errors import InvalidRequest
from server.search.page_token import encode
from server.search.request import COLORS, FORMATS, parse_search

HASH = "0123456789abcdef"
LARGEST = 2**63 - 1


def message(**fields: Any) -> pb.SearchImagesRequest:
    return pb.SearchImagesRequest(**{"customer_id": "acme", **fields})


def at(milliseconds: int, nanos: int = 0) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(milliseconds * 1_000_000 + nanos)
    return time


def invalid_fields(**fields: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        parse_search(message(**fields))
    return [violation.field for violation in refused.value.violations]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"customer_id": ""}, ["customer_id"]),
        ({"customer_id": "acme#1"}, ["customer_id"]),
        ({"text": "a" * 257}, ["text"]),
        ({"text": "é" * 129}, ["text"]),
        ({"text": " ".join(map(str, range(17)))}, ["text"]),
        ({"text": " "}, ["text"]),
        ({"text": "*"}, ["text"]),
        ({"text": "- _ \N{PILE OF POO}"}, ["text"]),
        ({"formats": ["JPEG", "SVG", "jpeg"]}, ["formats[1]", "formats[2]"]),
        ({"formats": ["PNG"] * 21}, ["formats"]),
        ({"colors": [pb.COLOR_RED, pb.COLOR_UNSPECIFIED, 99]}, ["colors[1]", "colors[2]"]),
        ({"colors": [pb.COLOR_RED] * 21}, ["colors"]),
        ({"cameras": ["", "c" * 513]}, ["cameras[0]", "cameras[1]"]),
        ({"cameras": ["é" * 257]}, ["cameras[0]"]),
        ({"cameras": ["c"] * 21}, ["cameras"]),
        ({"origin_hosts": ["", "h" * 513]}, ["origin_hosts[0]", "origin_hosts[1]"]),
        ({"origin_hosts": ["h"] * 21}, ["origin_hosts"]),
        ({"labels": {str(number): "" for number in range(11)}}, ["labels"]),
        ({"labels": {"": "v"}}, ["labels"]),
        ({"labels": {"k": "v" * 65}}, ['labels["k"]']),
        ({"width": pb.IntRange(min=-1)}, ["width.min"]),
        ({"height": pb.IntRange(max=-1)}, ["height.max"]),
        ({"bytes": pb.IntRange(min=2, max=1)}, ["bytes.max"]),
        ({"created_after": at(5), "created_before": at(5)}, ["created_before"]),
        ({"created_after": Timestamp(seconds=2**60)}, ["created_after"]),
        ({"created_before": Timestamp(nanos=-1)}, ["created_before"]),
        ({"similar_to": HASH[1:]}, ["similar_to"]),
        ({"similar_to": HASH + "0"}, ["similar_to"]),
        ({"similar_to": "g" * 16}, ["similar_to"]),
        ({"similar_to": HASH + "\n"}, ["similar_to"]),
        ({"similar_to": HASH, "max_distance": -1}, ["max_distance"]),
        ({"similar_to": HASH, "max_distance": 12}, ["max_distance"]),
        ({"max_distance": 0}, ["max_distance"]),
        ({"page_size": -1}, ["page_size"]),
        ({"page_token": "x"}, ["page_token"]),
        (
            {"text": "*", "formats": ["?"], "width": pb.IntRange(min=-1), "page_size": -1},
            ["text", "formats[0]", "width.min", "page_size"],
        ),
    ],
)
def test_a_violation_names_its_field(fields: dict[str, Any], named: list[str]) -> None:
    """Each limit of the contract is checked, all at once; the token is checked if all other fields are valid."""
    assert invalid_fields(**fields) == named


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "a" * 256},
        {"text": " ".join(map(str, range(16)))},
        {"formats": list(FORMATS)},
        {"colors": list(COLORS)},
        {"cameras": [f"{number:x}" * 512 for number in range(16)]},
        {"labels": {str(number): "" for number in range(10)}},
        {"width": pb.IntRange(min=0, max=0), "bytes": pb.IntRange(min=LARGEST, max=LARGEST)},
        {"created_before": Timestamp(seconds=253_402_300_799)},
        {"similar_to": HASH, "max_distance": 0},
        {"similar_to": HASH, "max_distance": 11},
    ],
)
def test_values_at_the_limits_are_valid(fields: dict[str, Any]) -> None:
    """Limits are inclusive."""
    assert parse_search(message(**fields)).query.customer_id == "acme"


def test_a_search_with_only_a_customer() -> None:
    """The query matches everything, with the default page size and without facets."""
    parsed = parse_search(message())
    assert parsed.query == SearchQuery("acme", created=EVERYTHING)
    assert (parsed.page_size, parsed.facets, parsed.after) == (20, False, None)


def test_every_field_reaches_the_query() -> None:
    """Converted to the values of the engine; lists are sorted and have no duplicates."""
    parsed = parse_search(
        message(
            text="Canon eos*",
            formats=["PNG", "JPEG", "PNG"],
            colors=[pb.COLOR_RED, pb.COLOR_BLUE],
            cameras=["b", "a"],
            origin_hosts=["B.example", "a.example"],
            labels={"k2": "v2", "k1": "v1"},
            width=pb.IntRange(min=1),
            height=pb.IntRange(max=2),
            bytes=pb.IntRange(min=3, max=4),
            created_after=at(5, nanos=1),
            created_before=at(9),
            similar_to=HASH.upper(),
            facets=True,
            page_size=7,
        )
    )
    assert (parsed.page_size, parsed.facets) == (7, True)
    assert parsed.query == SearchQuery(
        "acme",
        words=(Term("canon"), Term("eos", prefix=True)),
        formats=("JPEG", "PNG"),
        colors=("BLUE", "RED"),
        cameras=("a", "b"),
        origin_hosts=("a.example", "b.example"),
        labels=(("k1", "v1"), ("k2", "v2")),
        width=Range(1, None),
        height=Range(None, 2),
        bytes=Range(3, 4),
        created=Range(6, 8),
        similar=Similar(HASH, 6),
    )


@pytest.mark.parametrize(("sent", "expected"), [(0, 20), (1, 1), (100, 100), (101, 100)])
def test_the_page_size_is_clamped(sent: int, expected: int) -> None:
    """AIP-158: 0 means the default, and a larger size means the limit."""
    assert parse_search(message(page_size=sent)).page_size == expected


def test_a_distance_of_0_is_not_the_default() -> None:
    """0 bits means equal hashes; 6 is the default only if the field is not set."""
    equal = parse_search(message(similar_to=HASH, max_distance=0))
    assert equal.query.similar == Similar(HASH, 0)


def test_a_token_does_not_depend_on_the_order_of_values() -> None:
    """Lists with the same values are equal; facets and page size may differ."""
    first = parse_search(message(formats=["PNG", "GIF"], facets=True, page_size=3))
    hit = SortKey(0, 1_700_000_000_000, "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11")
    token = encode(first.query, hit)
    assert parse_search(message(formats=["GIF", "PNG"], page_token=token)).after == hit
    assert invalid_fields(formats=["GIF"], page_token=token) == ["page_token"]


@pytest.mark.parametrize(
    ("written", "normalized"),
    [
        ("Photos.Example", "photos.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("no host", "no host"),
    ],
)
def test_hosts_are_normalized_like_indexed_hosts(written: str, normalized: str) -> None:
    """In any spelling, in the form that documents have."""
    assert parse_search(message(origin_hosts=[written])).query.origin_hosts == (normalized,)


def test_formats_and_colors_are_complete() -> None:
    """Every value that an image can have can be searched."""
    written = {each.name for each in formats.FORMATS}
    assert set(FORMATS) == written
    assert set(COLORS.values()) == set(Color)
    assert set(COLORS) == set(pb.Color.values()) - {pb.COLOR_UNSPECIFIED}

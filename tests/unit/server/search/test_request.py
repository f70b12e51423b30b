"""What a message that searches may say, and what is asked of the engine then."""

import unicodedata
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from consumer.imaging import formats
from core.search.color import Color
from core.search.query import EVERYTHING, Range, SearchQuery, Similar, SortKey, Term
from core.search.tokenizer import tokenize
from imageservice.v1 import image_service_pb2 as pb
from server.errors import InvalidRequest
from server.search.page_token import encode
from server.search.query_text import InvalidQueryText, parse_query_text
from server.search.request import COLORS, FORMATS, parse_search

HASH = "0123456789abcdef"
LARGEST = 2**63 - 1


def asked(**fields: Any) -> pb.SearchImagesRequest:
    return pb.SearchImagesRequest(**{"customer_id": "acme", **fields})


def at(milliseconds: int, nanos: int = 0) -> Timestamp:
    time = Timestamp()
    time.FromNanoseconds(milliseconds * 1_000_000 + nanos)
    return time


def faulty(**fields: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        parse_search(asked(**fields))
    return [fault.field for fault in refused.value.violations]


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
def test_a_fault_is_told_by_its_field(fields: dict[str, Any], named: list[str]) -> None:
    """Each limit of the contract is checked, all at once; a token is judged once the rest is right."""
    assert faulty(**fields) == named


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
def test_limits_may_be_reached(fields: dict[str, Any]) -> None:
    """What the contract allows last is allowed."""
    assert parse_search(asked(**fields)).query.customer_id == "acme"


def test_nothing_but_a_customer() -> None:
    """Then everything is asked for, the default number at a time, without facets."""
    told = parse_search(asked())
    assert told.query == SearchQuery("acme", created=EVERYTHING)
    assert (told.page_size, told.facets, told.after) == (20, False, None)


def test_every_field_reaches_the_query() -> None:
    """In the engine's terms; lists are in an order of their own, each value once."""
    told = parse_search(
        asked(
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
    assert (told.page_size, told.facets) == (7, True)
    assert told.query == SearchQuery(
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


@pytest.mark.parametrize(("sent", "taken"), [(0, 20), (1, 1), (100, 100), (101, 100)])
def test_a_pages_size_is_coerced(sent: int, taken: int) -> None:
    """AIP-158: nothing said is the default, more than the limit is the limit."""
    assert parse_search(asked(page_size=sent)).page_size == taken


def test_a_distance_of_nothing_is_not_the_default() -> None:
    """0 bits asks for equal hashes; only what is not set is 6."""
    equal = parse_search(asked(similar_to=HASH, max_distance=0))
    assert equal.query.similar == Similar(HASH, 0)


def test_a_token_goes_with_its_fields_in_any_order() -> None:
    """Lists that hold the same are the same; facets and the page's size are free."""
    first = parse_search(asked(formats=["PNG", "GIF"], facets=True, page_size=3))
    position = SortKey(0, 1_700_000_000_000, "0b8f4a5e-7a59-5c39-9d0f-3c3a9b0a1f11")
    token = encode(first.query, position)
    assert parse_search(asked(formats=["GIF", "PNG"], page_token=token)).after == position
    assert faulty(formats=["GIF"], page_token=token) == ["page_token"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Canon, EOS-5D", ["canon", "eos", "5d"]),
        ("eos eos EOS", ["eos"]),
        ("eo*", ["eo*"]),
        ("eos eos*", ["eos", "eos*"]),
        ("(eos*), can*", ["eos*", "can*"]),
        ("a-b-ab*", ["a", "b", "ab*"]),
        ("Étude*", ["etude*"]),
        (unicodedata.normalize("NFD", "étude* été*"), ["etude*", "ete*"]),
        ("straße*", ["strasse*"]),
        ("写真*", ["写真*"]),
        ("कि*", ["कि*"]),
    ],
)
def test_a_star_at_a_words_end_makes_it_a_beginning(text: str, expected: list[str]) -> None:
    """Words are those that documents have, in their order; each once, as a word and as a beginning."""
    assert [word.text + "*" * word.prefix for word in parse_query_text(text)] == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a*", "2 letters or digits"),
        ("canon é*", "2 letters or digits"),
        ("aa* bb* cc* dd*", "at most 3 words with a"),
    ],
)
def test_beginnings_that_much_begins_with_are_refused(text: str, complaint: str) -> None:
    """An engine looks through all words that begin so."""
    with pytest.raises(InvalidQueryText, match=complaint):
        parse_query_text(text)


@pytest.mark.parametrize(
    ("written", "looked_up"),
    [
        ("Photos.Example", "photos.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("no host", "no host"),
    ],
)
def test_hosts_are_asked_for_as_they_are_looked_up(written: str, looked_up: str) -> None:
    """However they are spelt, as documents have them."""
    assert parse_search(asked(origin_hosts=[written])).query.origin_hosts == (looked_up,)


@pytest.mark.parametrize("text", ["*a", "a*b", "a **", "a**", "a *", "a, *", "a-*", "* a", "a*b*"])
def test_a_star_elsewhere_is_refused(text: str) -> None:
    """Who writes one means something that would not be found."""
    with pytest.raises(InvalidQueryText, match="at the end of a word only"):
        parse_query_text(text)


@given(st.text(max_size=60))
def test_any_text_is_read_as_documents_are(text: str) -> None:
    """Words of a question are the words of a document with the same text, or the text is refused."""
    try:
        found = parse_query_text(text)
    except InvalidQueryText:
        return
    assert tuple(dict.fromkeys(word.text for word in found)) == tokenize(text)


def test_formats_and_colors_are_those_that_are_written() -> None:
    """Whatever an image can have may be asked for."""
    written = {each.name for each in formats.FORMATS}
    assert set(FORMATS) == written
    assert set(COLORS.values()) == set(Color)
    assert set(COLORS) == set(pb.Color.values()) - {pb.COLOR_UNSPECIFIED}

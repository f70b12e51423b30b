"""Every engine finds the same documents of a customer, for each condition alone and for all together."""

# Some cases need characters that look like other characters.
# ruff: noqa: RUF001

from dataclasses import replace
from typing import Any

import pytest

from core.model.color import Color
from core.search.query import Range, Similar, Term
from harness.search_corpus import CORPUS, EVERY, HASH, LONG, QUOTED
from harness.search_documents import ACME, RIVAL, terms
from harness.search_engines import Engine

WORDS: list[tuple[str, tuple[Term, ...], tuple[str, ...]]] = [
    ("of the camera", terms("canon"), ("coast", "alps")),
    ("in a different case", terms("CaNoN"), ("coast", "alps")),
    ("two words of the camera", terms("5d canon"), ("coast", "alps")),
    ("of two documents", terms("canon nikon"), ()),
    ("of camera, label and host", terms("eos zurich photos"), ("alps",)),
    ("of a label key", terms("place"), ("alps",)),
    ("of a host", terms("example"), ("signs", "tower", "coast", "alps")),
    ("of a host in ACE form", terms("xn bcher kva"), ("tower",)),
    ("of an address", terms("10 0 1"), ("shop",)),
    ("with the accent", terms("ZÜRICH"), ("alps",)),
    ("without the accent", terms("cafe naive"), ("tower",)),
    ("with a decomposed accent", terms("cafe\u0301"), ("tower",)),
    ("in Greek, without the accent", terms("ελλαδα"), ("coast",)),
    ("in Cyrillic", terms("МОСКВА"), ("tower",)),
    ("in Japanese", terms("東京"), ("tower",)),
    ("in half-width kana", terms("ﾀﾜｰ"), ("tower",)),
    ("with a sharp s", terms("STRASSE"), ("tower",)),
    ("for full-width characters", terms("fuji"), ("signs",)),
    ("of a ligature", terms("fine"), ("signs",)),
    ("of another ligature", terms("ŒUVRE"), ("signs",)),
    ("between underscores", terms("2 z"), ("tower",)),
    ("beside an apostrophe", terms("o'neill"), ("shop",)),
    ("that are operators", terms("AND OR NOT"), ("signs",)),
    ("an operator of SQLite", terms("NEAR"), ()),
    ("beside quotes", terms('"hi'), ("signs",)),
    ("of a path", terms("c:\\temp"), ("signs",)),
    ("beside emoji", terms("📷great"), ()),
    ("separated by emoji", terms("gr eat"), ("signs",)),
    ("of SQL", terms("drop table"), ("shop",)),
    ("a part without prefix search", terms("cano"), ()),
    ("by a prefix", terms("cano", prefix=True), ("coast", "alps")),
    ("by the whole word as a prefix", terms("canon", prefix=True), ("coast", "alps")),
    ("by a prefix longer than the word", terms("canonical", prefix=True), ()),
    ("by the middle of a word", terms("anon", prefix=True), ()),
    ("by a word and a prefix", terms("canon e", prefix=True), ("coast", "alps")),
    ("by a prefix in Japanese", terms("東", prefix=True), ("tower",)),
    ("by a prefix in Greek", terms("Ἑλλ", prefix=True), ("coast",)),
    ("by a digit", terms("7"), ("shop", "alps")),
    ("too long", terms(LONG), ("shop",)),
    ("cut to the maximum length", terms("x" * 64), ("shop",)),
    ("one character shorter than the maximum", terms("x" * 63), ()),
    ("by a prefix one character shorter than the maximum", terms("x" * 63, prefix=True), ("shop",)),
    ("none, only punctuation", terms('"*%\\📷'), EVERY),
    ("a quote, which is no word", (Term('"'),), ()),
    ("a wildcard, which is no word", (Term("c*"),), ()),
    ("the same word twice", (*terms("canon"), *terms("canon")), ("coast", "alps")),
]

CONDITIONS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("no condition", {}, EVERY),
    ("a format", {"formats": ("JPEG",)}, ("signs", "alps")),
    ("one of two formats", {"formats": ("GIF", "JPEG")}, ("signs", "tower", "alps")),
    ("a format in a different case", {"formats": ("jpeg",)}, ()),
    ("a format twice", {"formats": ("GIF", "GIF")}, ("tower",)),
    ("an unknown format", {"formats": ("BMP",)}, ()),
    ("a colour", {"colors": (Color.RED,)}, ("signs", "alps")),
    ("one of two colours", {"colors": ("BLACK", "GREEN")}, ("shop", "coast")),
    ("a colour of no document", {"colors": (Color.PINK,)}, ()),
    ("a camera in the same case", {"cameras": ("Canon EOS 5D",)}, ("alps",)),
    ("a camera with punctuation", {"cameras": ("O'Neill; DROP TABLE documents--",)}, ("shop",)),
    ("a part of a camera", {"cameras": ("Canon",)}, ()),
    ("a wildcard", {"cameras": ("Canon*", "%", "*", "_")}, ()),
    ("one of two cameras", {"cameras": ("canon eos 5d", "NIKON Z 6_2")}, ("tower", "coast")),
    ("an empty camera", {"cameras": ("",)}, ()),
    ("an empty host or a host", {"origin_hosts": ("", "10.0.0.1")}, ("shop",)),
    ("an empty colour", {"colors": ("",)}, ()),
    ("a camera with full-width characters", {"cameras": ("Œuvre ﬁne Ｆｕｊｉ",)}, ("signs",)),
    ("a host", {"origin_hosts": ("photos.example",)}, ("coast", "alps")),
    (
        "one of two hosts",
        {"origin_hosts": ("10.0.0.1", "photos.example")},
        ("shop", "coast", "alps"),
    ),
    ("the end of a host", {"origin_hosts": ("example",)}, ()),
    ("a label", {"labels": (("order", "7"),)}, ("shop", "alps")),
    ("two labels", {"labels": (("order", "7"), ("place", "Zürich"))}, ("alps",)),
    ("two labels of two documents", {"labels": (("order", "8"), ("place", "Zürich"))}, ()),
    ("a label in a different case", {"labels": (("place", "zürich"),)}, ()),
    ("a label without the accent", {"labels": (("place", "Zurich"),)}, ()),
    ("a key in a different case", {"labels": (("ort", "Ελλάδα"),)}, ()),
    ("the value of a different key", {"labels": (("place", "7"),)}, ()),
    ("a label with quotes", {"labels": (("quote", QUOTED),)}, ("signs",)),
    ("a label with backslashes", {"labels": (("path", "C:\\temp\\new"),)}, ("signs",)),
    ("a label with emoji", {"labels": (("emoji", "📷 gr👍🏽eat"),)}, ("signs",)),
    ("a label without the skin tone of its emoji", {"labels": (("emoji", "📷 gr👍eat"),)}, ()),
    ("an empty label", {"labels": (("empty", ""),)}, ("shop",)),
    ("an empty value for a label that is not empty", {"labels": (("order", ""),)}, ()),
    ("an empty value for a label that does not exist", {"labels": (("none", ""),)}, ()),
    ("a key with an equals sign", {"labels": (("a=b", "c"),)}, ("signs",)),
    ("a value with an equals sign", {"labels": (("a", "b=c"),)}, ("shop",)),
    ("a wildcard as a label value", {"labels": (("order", "*"),)}, ()),
    ("a width", {"width": Range(640, 640)}, ("shop", "coast")),
    ("at least a width", {"width": Range(first=641)}, ("signs", "alps")),
    ("at most a width", {"width": Range(last=640)}, ("shop", "tower", "coast", "bare")),
    ("less than every width", {"width": Range(last=0)}, ()),
    ("a height", {"height": Range(480, 481)}, ("signs", "coast")),
    ("a height beyond 32 bits", {"height": Range(first=2**31)}, ("shop",)),
    ("bytes", {"bytes": Range(70_000, 70_000)}, ("coast",)),
    ("bytes beyond the precision of a float", {"bytes": Range(2**53 + 1, 2**53 + 1)}, ("shop",)),
    ("one byte less", {"bytes": Range(2**53, 2**53)}, ()),
    ("one byte more", {"bytes": Range(first=2**53 + 2)}, ()),
    ("a time", {"created": Range(3_000, 3_000)}, ("coast",)),
    ("from a time", {"created": Range(first=5_000)}, ("shop", "signs")),
    ("until a time", {"created": Range(last=1_999)}, ("alps",)),
    ("an empty range", {"created": Range(3_001, 3_000)}, ()),
    ("all numbers", {"bytes": Range(-(2**63), 2**63 - 1)}, EVERY),
    ("the same image", {"similar": Similar(HASH, 0)}, ("alps",)),
    ("similar images", {"similar": Similar(HASH, 8)}, ("alps", "signs")),
    ("similar images, one bit closer", {"similar": Similar(HASH, 7)}, ("alps",)),
    ("similar to an image in one colour", {"similar": Similar("0000000000000000", 11)}, ("coast",)),
    (
        "all conditions",
        {
            "words": (*terms("canon zurich"), *terms("phot", prefix=True)),
            "formats": ("JPEG", "PNG"),
            "colors": (Color.RED, Color.BLUE),
            "cameras": ("Canon EOS 5D", "Leica"),
            "origin_hosts": ("photos.example",),
            "labels": (("place", "Zürich"), ("order", "7")),
            "width": Range(4000, 4000),
            "height": Range(2999, 3001),
            "bytes": Range(last=2_000_000),
            "created": Range(first=1_000),
            "similar": Similar("ffff0000ffff00fe", 1),
        },
        ("alps",),
    ),
    ("words and a range", {"words": terms("canon"), "width": Range(last=641)}, ("coast",)),
    ("a label and a format", {"labels": (("order", "7"),), "formats": ("AVIF",)}, ("shop",)),
    ("similarity and a word", {"similar": Similar(HASH, 11), "words": terms("fuji")}, ("signs",)),
]


async def put_twice(engine: Engine) -> None:
    """Write each document for two customers."""
    rivals = (
        replace(each, image_id=f"{each.image_id}-{RIVAL}", customer_id=RIVAL)
        for each in CORPUS.values()
    )
    await engine.put(*CORPUS.values(), *rivals)


async def found_by_both(
    engine: Engine, conditions: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Check that each customer finds its own documents of `expected`, in this order."""
    await put_twice(engine)
    ids = [CORPUS[name].image_id for name in expected]
    assert await engine.ids(ACME, **conditions) == ids
    assert await engine.ids(RIVAL, **conditions) == [f"{each}-{RIVAL}" for each in ids]
    assert await engine.ids("unknown", **conditions) == []


@pytest.mark.parametrize(
    ("words", "expected"), [case[1:] for case in WORDS], ids=[case[0] for case in WORDS]
)
async def test_images_are_found_by_words(
    engine: Engine, words: tuple[Term, ...], expected: tuple[str, ...]
) -> None:
    """A document must contain all words. Case and accents are ignored."""
    await found_by_both(engine, {"words": words}, expected)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [case[1:] for case in CONDITIONS],
    ids=[case[0] for case in CONDITIONS],
)
async def test_images_are_found_by_their_fields(
    engine: Engine, conditions: dict[str, Any], expected: tuple[str, ...]
) -> None:
    """Formats, colours, cameras, hosts and labels are compared exactly. Ranges include both bounds."""
    await found_by_both(engine, conditions, expected)


async def test_an_index_without_documents_finds_nothing(engine: Engine) -> None:
    """The result is empty, not an error."""
    assert await engine.ids() == []
    assert await engine.ids(words=terms("canon"), similar=Similar(HASH, 11)) == []

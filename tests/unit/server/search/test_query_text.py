"""Parsing of the text of a search."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.search.tokenizer import tokenize
from server.search.query_text import InvalidQueryText, parse_query_text


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
def test_a_star_at_the_end_of_a_word_makes_a_prefix(text: str, expected: list[str]) -> None:
    """The words are those of documents, in their order, without duplicates; a word and a prefix may be equal."""
    assert [word.text + "*" * word.prefix for word in parse_query_text(text)] == expected


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a*", "2 letters or digits"),
        ("canon é*", "2 letters or digits"),
        ("aa* bb* cc* dd*", "at most 3 words with a"),
    ],
)
def test_expensive_prefixes_are_rejected(text: str, error: str) -> None:
    """The engine examines all words with the prefix."""
    with pytest.raises(InvalidQueryText, match=error):
        parse_query_text(text)


@pytest.mark.parametrize("text", ["*a", "a*b", "a **", "a**", "a *", "a, *", "a-*", "* a", "a*b*"])
def test_a_star_elsewhere_is_rejected(text: str) -> None:
    """A pattern that would never match is an error of the caller."""
    with pytest.raises(InvalidQueryText, match="at the end of a word only"):
        parse_query_text(text)


@given(st.text(max_size=60))
def test_queries_are_tokenized_like_documents(text: str) -> None:
    """The words of a query are the words of a document with the same text, or the text is rejected."""
    try:
        found = parse_query_text(text)
    except InvalidQueryText:
        return
    assert tuple(dict.fromkeys(word.text for word in found)) == tokenize(text)

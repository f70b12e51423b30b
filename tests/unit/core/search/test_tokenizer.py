"""What is a word: the same in documents and in questions."""

# Letters that look like others are what some cases are about.
# ruff: noqa: RUF001

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.search.tokenizer import LONGEST, tokenize


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("  \t\n", ()),
        ("Canon EOS 5D", ("canon", "eos", "5d")),
        ("one two one", ("one", "two")),
        ("b a", ("b", "a")),
        ("snake_case-and.dots/slashes", ("snake", "case", "and", "dots", "slashes")),
        ("O'Neill", ("o", "neill")),
        ('"quoted" 100% * (x) AND', ("quoted", "100", "x", "and")),
        ("C:\\temp\\new", ("c", "temp", "new")),
        ("naïve café", ("naive", "cafe")),
        ("cafe\u0301", ("cafe",)),
        ("ÅNGSTRÖM", ("angstrom",)),
        ("Straße STRASSE", ("strasse",)),
        ("ﬁne ﬂow", ("fine", "flow")),
        ("Ｆｕｊｉ １２", ("fuji", "12")),
        ("x² ½", ("x2", "1", "2")),
        ("№5", ("no5",)),
        ("ΕΛΛΆΔΑ Ελλάδα", ("ελλαδα",)),
        ("ΟΔΟΣ οδος", ("οδοσ",)),
        ("Москва Ёлка", ("москва", "елка")),
        ("İstanbul", ("istanbul",)),
        ("東京 タワー", ("東京", "タワー")),
        ("ﾀﾜｰ", ("タワー",)),
        ("किताब की दुकान", ("किताब", "की", "दुकान")),
        ("ि ❤️ a️b", ("a", "b")),
        ("한국", (unicodedata.normalize("NFKD", "한국"),)),
        ("עִבְרִית", ("עברית",)),
        ("📷great👍🏽day", ("great", "day")),
        ("a\x00b", ("a", "b")),
        ("half \ud83d pair", ("half", "pair")),
        ("x" * 70, ("x" * LONGEST,)),
        (f"{'x' * 64}y {'x' * 64}z", ("x" * LONGEST,)),
    ],
)
def test_a_text_has_these_words(text: str, expected: tuple[str, ...]) -> None:
    """Runs of letters and digits, without case, accents and other forms of the same letter."""
    assert tokenize(text) == expected


@given(st.text())
def test_words_are_words(text: str) -> None:
    """So that a document's words, joined and taken apart again, are what a question's are compared with."""
    found = tokenize(text)
    assert tokenize(" ".join(found)) == found
    assert all(tokenize(word) == (word,) for word in found)


@given(st.text())
def test_words_have_nothing_that_an_engine_would_read_as_more_than_letters(text: str) -> None:
    """No space, no sign of ASCII, no capital of ASCII; none is empty or too long, and none comes twice."""
    found = tokenize(text)
    assert len(set(found)) == len(found)
    for word in found:
        assert 1 <= len(word) <= LONGEST
        assert not set(word) & set(string.punctuation + string.whitespace + string.ascii_uppercase)


@given(st.text())
def test_case_and_form_do_not_matter(text: str) -> None:
    """However a text is typed, and whichever way it was composed."""
    assert tokenize(text.casefold()) == tokenize(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert tokenize(unicodedata.normalize(form, text)) == tokenize(text), form

"""Parses the text of a search into words. Pure."""

import unicodedata
from itertools import groupby

from core.search.query import Term
from core.search.tokenizer import tokenize

MAX_WORDS = 16
MAX_PREFIXES = 3
"""Words with a `*` in one text. Each matches all indexed words that start with it."""
MIN_PREFIX_LENGTH = 2
"""Characters. A prefix of one character would match a large share of all words."""
MAX_TEXT_BYTES = 256


class InvalidQueryText(ValueError):
    """The text violates the contract; `str()` is a sentence for the caller."""


def parse_query_text(text: str) -> tuple[Term, ...]:
    """Return the distinct words of `text` in their order; none for an empty text. Raises InvalidQueryText."""
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise InvalidQueryText(f"Must be at most {MAX_TEXT_BYTES} bytes.")
    found = tuple(dict.fromkeys(_words(text)))
    if text and not found:
        raise InvalidQueryText("Must have a letter or a digit.")
    if len(found) > MAX_WORDS:
        raise InvalidQueryText(f"Must be at most {MAX_WORDS} words.")
    prefixes = [word for word in found if word.prefix]
    if len(prefixes) > MAX_PREFIXES:
        raise InvalidQueryText(f"Must have at most {MAX_PREFIXES} words with a *.")
    if any(len(word.text) < MIN_PREFIX_LENGTH for word in prefixes):
        raise InvalidQueryText(
            f"Must have {MIN_PREFIX_LENGTH} letters or digits at least before a *."
        )
    return found


def _words(text: str) -> list[Term]:
    found: list[Term] = []
    runs = [(in_word, "".join(letters)) for in_word, letters in groupby(text, key=_in_word)]
    for position, (in_word, run) in enumerate(runs):
        if in_word:
            found += map(Term, tokenize(run))
        elif "*" in run:
            follows_word = position > 0 and bool(tokenize(runs[position - 1][1]))
            is_inside_word = run == "*" and position < len(runs) - 1
            if not follows_word or is_inside_word or run.rfind("*") > 0:
                raise InvalidQueryText("Must have a * at the end of a word only.")
            found[-1] = Term(found[-1].text, prefix=True)
    return found


def _in_word(character: str) -> bool:
    """Return whether the character is part of a word. Combining marks are, although tokens do not contain them."""
    return bool(tokenize(character)) or unicodedata.category(character).startswith("M")

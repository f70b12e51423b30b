"""The words that a search's text asks for. Pure."""

import unicodedata
from itertools import groupby

from core.search.query import Word
from core.search.words import words

MAX_WORDS = 16
MAX_BEGINNINGS = 3
"""Words with a * in one text: each stands for all words of the customer that begin so."""
SHORTEST_BEGINNING = 2
"""Characters; one would stand for a good part of all words."""
MAX_TEXT_BYTES = 256


class BadText(ValueError):
    """The text breaks the contract; `str()` is a sentence for the caller."""


def asked_words(text: str) -> tuple[Word, ...]:
    """The words of `text` in their order, each once; an empty text has none. Raises BadText."""
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise BadText(f"Must be at most {MAX_TEXT_BYTES} bytes.")
    asked: list[Word] = []
    runs = [(in_word, "".join(letters)) for in_word, letters in groupby(text, key=_in_word)]
    for position, (in_word, run) in enumerate(runs):
        if in_word:
            asked += map(Word, words(run))
        elif "*" in run:
            follows_word = position > 0 and bool(words(runs[position - 1][1]))
            is_within_word = run == "*" and position < len(runs) - 1
            if not follows_word or is_within_word or run.rfind("*") > 0:
                raise BadText("Must have a * at the end of a word only.")
            asked[-1] = Word(asked[-1].text, prefix=True)
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
    return bool(words(character)) or unicodedata.category(character).startswith("M")

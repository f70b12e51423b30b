"""Splits the text of documents and queries into words. Pure.

This replaces the engines' analysers, so that all engines find the same.
"""

import unicodedata
from itertools import groupby

MAX_LENGTH = 64
"""Characters; longer words are truncated, in documents and in queries. No label is longer."""

_VOWEL_SIGNS = frozenset({"Mc", "Mn"})
_VARIATIONS = range(0xFE00, 0xFE10)
"""Variation selectors (Unicode 23.4) are no part of a word."""


def tokenize(text: str) -> tuple[str, ...]:
    """Return the distinct words of `text` in order: runs of letters and digits, without case and accents.

    Compatible forms are equal (Unicode NFKD), so that plain letters find full-width letters and ligatures.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = (letter for letter in folded if not unicodedata.combining(letter))
    runs = ("".join(run) for in_word, run in groupby(plain, key=_in_word) if in_word)
    # A vowel sign without a letter is no word.
    return tuple(
        dict.fromkeys(run[:MAX_LENGTH] for run in runs if any(letter.isalnum() for letter in run))
    )


def _in_word(letter: str) -> bool:
    """Accept letters, digits, and the vowel signs of scripts such as Devanagari."""
    if letter.isalnum():
        return True
    return unicodedata.category(letter) in _VOWEL_SIGNS and ord(letter) not in _VARIATIONS

"""What is a word, in documents and in questions alike. Pure.

Words are made here and not by an engine's analyser, so that every engine finds the same.
"""

import unicodedata
from itertools import groupby

LONGEST = 64
"""Characters of a word; what is longer is cut, in documents as in questions. No label is longer."""

_VOWEL_SIGNS = frozenset({"Mc", "Mn"})
_VARIATIONS = range(0xFE00, 0xFE10)
"""Selectors of a character's look (Unicode 23.4), which are no part of a word."""


def tokenize(text: str) -> tuple[str, ...]:
    """The words of `text` in their order, each once: runs of letters and digits, without case and accents.

    Compatible forms count as one (Unicode NFKD), so that full-width letters and ligatures are found as people type.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = (letter for letter in folded if not unicodedata.combining(letter))
    runs = ("".join(run) for in_word, run in groupby(plain, key=_in_word) if in_word)
    # A sign without a letter is no word.
    return tuple(
        dict.fromkeys(run[:LONGEST] for run in runs if any(letter.isalnum() for letter in run))
    )


def _in_word(letter: str) -> bool:
    """Letters and digits, and the vowel signs of scripts that write them beside their letters, as Devanagari does."""
    if letter.isalnum():
        return True
    return unicodedata.category(letter) in _VOWEL_SIGNS and ord(letter) not in _VARIATIONS

"""Strangers' text among words of ours: it stands in quotes that it cannot end, and begins no line."""

import re
from itertools import accumulate

from cli.json_text import json_text

_BARE = re.compile(r"[!#-~]+")
"""Printable ASCII without a space and without quotes: one word to everybody, and on every terminal as long as it is."""

_CUT = '…"'


def url_text(url: str) -> str:
    """A URL as it is, so that it can be opened; in quotes, as JSON has it, where it may look like more than one word.

    Some letters beyond ASCII look like a space, and some turn the direction of what follows.
    """
    return url if _BARE.fullmatch(url) else json_text(url)


def quoted(text: str) -> bool:
    """Whether `url_text` has put it in quotes."""
    return text.startswith('"')


def cut(quotation: str, width: int) -> str:
    """One that is too long for `width` columns, cut within its quotes."""
    if columns(quotation) <= width:
        return quotation
    widths = accumulate(map(columns, quotation))
    kept = sum(1 for each in widths if each <= width - columns(_CUT))
    return quotation[:kept] + _CUT


def columns(text: str) -> int:
    """At most so many, whichever letters a terminal draws twice as wide: terminals do not agree."""
    return sum(1 if c.isascii() else 2 for c in text)

"""Sentences on a terminal: folded between words, so that a URL or an id stays whole."""

import json
import re
import shutil
import textwrap
from itertools import accumulate
from typing import Any, TextIO

# JSON that is safe to print: readable letters stay readable, and nothing commands a terminal or hides on it.


def safe_json(reported: Any) -> str:
    """One line, which parses to what was `reported`.

    Labels, URLs and cameras are strangers' text. What `str.isprintable` refuses (terminal controls, marks that turn
    the direction of text, spaces without a width, line separators) is written as JSON's escapes.
    """
    text = json.dumps(reported, ensure_ascii=False)
    if text.isprintable():
        return text
    # Outside its strings JSON is plain ASCII, so whatever is not printable may be escaped where it stands.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


# Strangers' text among words of ours: it stands in quotes that it cannot end, and begins no line.

_BARE = re.compile(r"[!#-~]+")
"""Printable ASCII without a space and without quotes: one word to everybody, and on every terminal as long as it is."""

_ELLIPSIS = '…"'


def quote_url(url: str) -> str:
    """A URL as it is, so that it can be opened; in quotes, as JSON has it, where it may look like more than one word.

    Some letters beyond ASCII look like a space, and some turn the direction of what follows.
    """
    return url if _BARE.fullmatch(url) else safe_json(url)


def is_quoted(text: str) -> bool:
    """Whether `quote_url` has put it in quotes."""
    return text.startswith('"')


def truncate(quotation: str, width: int) -> str:
    """One that is too long for `width` columns, cut within its quotes."""
    if display_width(quotation) <= width:
        return quotation
    widths = accumulate(map(display_width, quotation))
    kept = sum(1 for each in widths if each <= width - display_width(_ELLIPSIS))
    return quotation[:kept] + _ELLIPSIS


def display_width(text: str) -> int:
    """At most so many, whichever letters a terminal draws twice as wide: terminals do not agree."""
    return sum(1 if c.isascii() else 2 for c in text)


INDENT = "  "
MIN_WIDTH = 20
"""A terminal that claims to be narrower is not asked: some say 0."""


def wrap(text: str, width: int) -> str:
    """`text` in lines of at most `width` columns, those after the first indented; a longer word has its own line."""
    return textwrap.fill(
        text,
        max(width, MIN_WIDTH),
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_message(file: TextIO, text: str) -> None:
    """Write a sentence: on a terminal folded, elsewhere a line, as programs read lines."""
    if file.isatty():
        text = wrap(text, shutil.get_terminal_size().columns)
    file.write(text + "\n")
    file.flush()

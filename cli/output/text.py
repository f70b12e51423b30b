"""Text for terminals and programs: wrapping, quoting of foreign text, safe JSON."""

import json
import re
import shutil
import textwrap
from itertools import accumulate
from typing import Any, TextIO


def safe_json(reported: Any) -> str:
    """Return one JSON line that parses to `reported`.

    Labels, URLs and camera names are foreign text. Characters that `str.isprintable` refuses (terminal controls,
    direction marks, zero-width spaces, line separators) are written as JSON escapes.
    """
    text = json.dumps(reported, ensure_ascii=False)
    if text.isprintable():
        return text
    # Outside its strings JSON is plain ASCII, so every unprintable character can be escaped in place.
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


# Foreign text inside our text is quoted. It cannot end its quotes, and it never begins a line.

_BARE = re.compile(r"[!#-~]+")
"""Printable ASCII without spaces and quotes: one word with the same width on every terminal."""

_ELLIPSIS = '…"'


def quote_url(url: str) -> str:
    """Return the URL unchanged if it is one word, so that it can be opened; otherwise as a JSON string.

    Some letters beyond ASCII look like a space, and some reverse the direction of the following text.
    """
    return url if _BARE.fullmatch(url) else safe_json(url)


def is_quoted(text: str) -> bool:
    return text.startswith('"')


def truncate(quotation: str, width: int) -> str:
    """Shorten a quoted text to `width` columns, inside its quotes."""
    if display_width(quotation) <= width:
        return quotation
    widths = accumulate(map(display_width, quotation))
    kept = sum(1 for each in widths if each <= width - display_width(_ELLIPSIS))
    return quotation[:kept] + _ELLIPSIS


def display_width(text: str) -> int:
    """Return the largest possible width. Terminals disagree about which letters take two columns."""
    return sum(1 if c.isascii() else 2 for c in text)


INDENT = "  "
MIN_WIDTH = 20
"""The width for a terminal that reports less; some report 0."""


def wrap(text: str, width: int) -> str:
    """Wrap `text` at `width` columns between words and indent continuation lines. A longer word has its own line."""
    return textwrap.fill(
        text,
        max(width, MIN_WIDTH),
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_message(file: TextIO, text: str) -> None:
    """Write a message: wrapped on a terminal; one line elsewhere, for programs."""
    if file.isatty():
        text = wrap(text, shutil.get_terminal_size().columns)
    file.write(text + "\n")
    file.flush()

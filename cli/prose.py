"""Sentences on a terminal: folded between words, so that a URL or an id stays whole."""

import shutil
import textwrap
from typing import TextIO

INDENT = "  "
NARROWEST = 20
"""A terminal that claims to be narrower is not asked: some say 0."""


def folded(text: str, width: int) -> str:
    """`text` in lines of at most `width` columns, those after the first indented; a longer word has its own line."""
    return textwrap.fill(
        text,
        max(width, NARROWEST),
        subsequent_indent=INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def say(file: TextIO, text: str) -> None:
    """Write a sentence: on a terminal folded, elsewhere a line, as programs read lines."""
    if file.isatty():
        text = folded(text, shutil.get_terminal_size().columns)
    file.write(text + "\n")
    file.flush()

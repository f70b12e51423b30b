"""Checks of single members of a decoder's answer."""

from typing import Any

from core.answers import MalformedAnswer

TEXT_MAX = 128
"""Characters of a text, if nothing else is said."""


def integer(value: Any, low: int, high: int) -> int:
    # Not isinstance: True is an int.
    if type(value) is not int or not low <= value <= high:
        raise MalformedAnswer(f"not an integer from {low} to {high}")
    return value


def printable_text(value: Any, longest: int = TEXT_MAX) -> str:
    if type(value) is not str or len(value) > longest or not value.isprintable():
        raise MalformedAnswer("not a printable text")
    return value

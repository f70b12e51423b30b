"""Decodes the answers of other services. A malformed answer is a failure of the service, never of an item in it. Pure.

Each operation has one decoder: a function from its answer to the values that the caller needs. It checks that each
member exists and has the type that the service's model gives it, and that there is one result for each item sent.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
A = TypeVar("A")
R = TypeVar("R")

SHAPE_ERRORS = (LookupError, TypeError, ValueError, AttributeError, OverflowError)
"""Errors that reading an unknown shape raises."""


class MalformedAnswer(Exception):
    """The answer is not one of the operation's: a member is missing or of another type, or a count is wrong."""


def decode_answer(decode: Callable[[A], R], answer: A) -> R:
    """Return `decode(answer)`. Raises MalformedAnswer."""
    try:
        return decode(answer)
    except SHAPE_ERRORS as error:
        raise MalformedAnswer(f"{type(error).__name__}: {error}") from error


def member(answer: Mapping[str, Any], name: str, kind: type[T]) -> T:
    """Return a required member. Raises MalformedAnswer or one of SHAPE_ERRORS."""
    return _checked(answer[name], name, kind)


def optional_member(answer: Mapping[str, Any], name: str, kind: type[T], default: T) -> T:
    """Return a member that the service may leave out, or set to null. Raises as `member`."""
    value = answer.get(name)
    return default if value is None else _checked(value, name, kind)


def integer(value: Any, low: int, high: int) -> int:
    """Return an integer of a range, both ends included. Raises MalformedAnswer."""
    # Not isinstance: True is an int.
    if type(value) is not int or not low <= value <= high:
        raise MalformedAnswer(f"not an integer from {low} to {high}")
    return value


def printable_text(value: Any, longest: int) -> str:
    """Return a text of at most `longest` printable characters. Raises MalformedAnswer."""
    if type(value) is not str or len(value) > longest or not value.isprintable():
        raise MalformedAnswer("not a printable text")
    return value


def no_members(answer: Mapping[str, Any]) -> None:
    """Decode an answer of which the caller needs no member."""
    if not isinstance(answer, Mapping):
        raise MalformedAnswer(f"{type(answer).__name__} instead of an object")


def _checked(value: Any, name: str, kind: type[T]) -> T:
    # Not isinstance: True is an int.
    if type(value) is not kind:
        raise MalformedAnswer(f"{name} is of type {type(value).__name__}, not {kind.__name__}")
    return value

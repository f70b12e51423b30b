"""Failure codes as people give them."""

from core.errors import FailureCode


def parse(text: str) -> FailureCode:
    """In any case. Raises ValueError, whose text lists the codes that there are."""
    try:
        return FailureCode(text.upper())
    except ValueError:
        known = ", ".join(sorted(FailureCode))
        raise ValueError(f"{text} is no failure code; there are {known}") from None

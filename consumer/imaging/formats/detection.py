"""Finds the format of a body, and tells what is accepted if it is refused."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from consumer.imaging.formats.accepted import FORMATS, TIFF, Format
from consumer.imaging.formats.camera_raw import tiff_raw_name
from consumer.imaging.formats.unsupported import unsupported_name
from core.errors import NotAnImage, UnsupportedFormat

P = ParamSpec("P")
T = TypeVar("T")


def sniff(body: bytes) -> Format:
    """Return the accepted format of `body`.

    Raises UnsupportedFormat for a known format of images or documents that is not accepted, and
    NotAnImage for everything else, an empty body included.
    """
    found = next((each for each in FORMATS if each.matches(body)), None)
    name = tiff_raw_name(body) if found is TIFF else "" if found else unsupported_name(body)
    if name:
        raise UnsupportedFormat(name)
    if found and not found.installed:
        raise UnsupportedFormat(f"{found.name}, because {found.decoder} is not installed")
    if found is None:
        raise NotAnImage
    return found


def names_accepted_formats(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function: append the list of the accepted formats to the message of a refusal."""

    @wraps(function)
    def named(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (NotAnImage, UnsupportedFormat) as refusal:
            names = ", ".join(each.name for each in FORMATS if each.installed)
            accepted = f"accepted are {names}"
            detail = f"{refusal.detail}; {accepted}" if refusal.detail else accepted
            raise type(refusal)(detail) from refusal

    return named

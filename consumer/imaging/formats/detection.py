"""Finds the format of a body, and tells what is accepted if it is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

from consumer.imaging.formats.accepted import FORMATS, TIFF, Format
from consumer.imaging.formats.camera_raw import tiff_raw_name
from consumer.imaging.formats.unsupported import unsupported_name
from core.errors import NotAnImage, UnsupportedFormat


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


@contextmanager
def names_accepted_formats() -> Iterator[None]:
    """Append the list of the accepted formats to the message of a refusal."""
    try:
        yield
    except (NotAnImage, UnsupportedFormat) as refusal:
        accepted = f"accepted are {', '.join(each.name for each in FORMATS if each.installed)}"
        detail = f"{refusal.detail}; {accepted}" if refusal.detail else accepted
        raise type(refusal)(detail) from refusal

"""Removes the location from GIF: drops comments and application extensions with one (GIF89a, sections 24 and 26)."""

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.strip_location.metadata import content
from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.gif import IMAGE

_GRAPHIC_CONTROL, _PLAIN_TEXT = b"\xf9", b"\x01"
_APPLICATION = b"\xff"
_APPLICATIONS_OF_THE_IMAGE = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0", b"\x0bICCRGBG1012")
"""How often an animation is repeated, and the colour profile (ICC.1:2022, B.6)."""
_PARTS_OF_THE_IMAGE = frozenset({IMAGE, _GRAPHIC_CONTROL, _PLAIN_TEXT})


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Drop whole extensions. Does not touch frames.

    XMP is one text without sub-blocks (XMP specification, part 3, 1.1.2), but some writers split it.
    """
    budget = WalkBudget()
    edits: list[Edit] = [
        (extension.start, extension.stop, b"")
        for extension in structure.segments
        if extension.name not in _PARTS_OF_THE_IMAGE
        and (
            content.has_location(extension.payload(body), budget)
            or content.has_location(_joined(body, extension), budget)
        )
    ]
    return strip_result(body, edits, structure.end, had_location=bool(edits))


def strip_all(body: bytes, structure: ImageStructure, _orientation: int) -> list[Edit]:
    """Drop all extensions except those of frames, of the animation and of the colour profile."""
    return [
        (extension.start, extension.stop, b"")
        for extension in structure.segments
        if extension.name not in _PARTS_OF_THE_IMAGE
        and not (
            extension.name == _APPLICATION
            and extension.payload(body).startswith(_APPLICATIONS_OF_THE_IMAGE)
        )
    ]


def _joined(body: bytes, extension: Segment) -> bytes:
    """Join the sub-blocks, each of which begins with its length."""
    joined, at = bytearray(), extension.data
    while at < extension.stop and body[at]:
        joined += body[at + 1 : at + 1 + body[at]]
        at += body[at] + 1
    return bytes(joined)

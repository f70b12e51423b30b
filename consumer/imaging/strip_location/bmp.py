"""Removes the location from BMP, which has no place for metadata: packets of XMP between its parts are blanked."""

from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import (
    StripResult,
    check_pixels,
    differences,
    strip_result,
)
from consumer.imaging.strip_location.metadata import xmp
from consumer.imaging.structure import ImageStructure
from consumer.imaging.structure.bmp import coded_pixels


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank packets with a location. A packet after the end of the image is cut off, and counts.

    Raises LocationNotRemovable for one among the pixels.
    """
    kept = body[: structure.end]
    edits = differences(kept, xmp.blank(kept))
    check_pixels(kept, edits, (coded_pixels(kept),))
    had_location = bool(edits) or xmp.has_location(body[structure.end :])
    return strip_result(body, edits, structure.end, had_location=had_location)


def strip_all(body: bytes, structure: ImageStructure, _orientation: int) -> list[Edit]:
    """Blank all packets."""
    kept = body[: structure.end]
    edits = differences(kept, xmp.blank(kept, every=True))
    check_pixels(kept, edits, (coded_pixels(kept),))
    return edits

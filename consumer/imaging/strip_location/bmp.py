"""Removes the location from BMP, which has no place for metadata: packets of XMP between its parts are blanked."""

from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, differences, strip_result
from consumer.imaging.strip_location.metadata import xmp
from consumer.imaging.structure import ImageStructure


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank packets with a location. A packet after the end of the image is cut off, and counts."""
    kept = body[: structure.end]
    edits = differences(kept, xmp.blank(kept))
    had_location = bool(edits) or xmp.has_location(body[structure.end :])
    return strip_result(body, edits, structure.end, had_location=had_location)


def strip_all(body: bytes, structure: ImageStructure, _orientation: int) -> list[Edit]:
    """Blank all packets."""
    kept = body[: structure.end]
    return differences(kept, xmp.blank(kept, every=True))

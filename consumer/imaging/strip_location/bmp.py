"""Removes the location from BMP, which has no place for metadata: packets of XMP between its parts are blanked."""

from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, differences, strip_result
from consumer.imaging.strip_location.metadata import xmp
from consumer.imaging.structure import ImageStructure


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank packets with a location."""
    kept = body[: structure.end]
    edits = differences(kept, xmp.blank(kept))
    return strip_result(body, edits, structure.end, had_location=bool(edits))


def strip_all(body: bytes, structure: ImageStructure, _orientation: int) -> list[Edit]:
    """Blank all packets."""
    kept = body[: structure.end]
    return differences(kept, xmp.blank(kept, every=True))

"""Removes the location from TIFF files in place: no offset moves, so no pixel is touched."""

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import (
    StripResult,
    check_pixels,
    differences,
    strip_result,
)
from consumer.imaging.strip_location.metadata import directories, xmp
from consumer.imaging.structure import ImageStructure
from consumer.imaging.structure.tiff import coded_pixels

_BUDGET_MIN = 65_536
_SEARCHES = 4
"""How often the bytes of a file may be searched or erased. Directories may share a value, and each searches it."""


_TAGS_OF_THE_IMAGE = frozenset(
    {*range(254, 260), *range(262, 267), 273, 274, *range(277, 285), *range(290, 294), 296}
    | {301, *range(317, 326), 330, 332, 334, 336, *range(338, 343), 347, *range(512, 522)}
    | {*range(529, 533), *range(32995, 32999), 34675, 37439, 50674}
)
"""Tags of TIFF 6.0 and its supplements that a decoder uses, among them orientation (274), resolution (282, 283 and
296) and the colour profile (34675)."""


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Erase the location in all directories, and packets of XMP anywhere in the file. One after the end counts.

    Raises CorruptImage for directories that take too long to search, and LocationNotRemovable for one among the pixels.
    """
    kept = body[: structure.end]
    stripped = directories.strip(kept, _budget(kept))
    edits = differences(kept, stripped)
    _check_pixels(kept, edits)
    had_location = bool(edits) or xmp.has_location(body[structure.end :])
    return strip_result(body, edits, structure.end, had_location=had_location, exif=kept)


def strip_all(body: bytes, structure: ImageStructure, _orientation: int) -> list[Edit]:
    """Erase all entries that a decoder does not use, and packets of XMP anywhere in the file."""
    kept = body[: structure.end]
    erased = directories.keep_entries(kept, _TAGS_OF_THE_IMAGE, _budget(kept))
    edits = differences(kept, xmp.blank(erased, every=True))
    _check_pixels(kept, edits)
    return edits


def _check_pixels(body: bytes, edits: list[Edit]) -> None:
    if edits:
        check_pixels(body, edits, coded_pixels(body))


def _budget(body: bytes) -> WalkBudget:
    return WalkBudget(size=max(_SEARCHES * len(body), _BUDGET_MIN))

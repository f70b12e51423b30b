"""Removes the location from TIFF files in place: no offset moves, so no pixel is touched."""

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.strip_location.edits import StripResult, differences, strip_result
from consumer.imaging.strip_location.metadata import directories
from consumer.imaging.structure import ImageStructure

_BUDGET_MIN = 65_536
_SEARCHES = 4
"""How often the bytes of a file may be searched or erased. Directories may share a value, and each searches it."""


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Erase the location in all directories, and packets of XMP anywhere in the file.

    Raises CorruptImage for directories that take too long to search.
    """
    kept = body[: structure.end]
    stripped = directories.strip(kept, WalkBudget(size=max(_SEARCHES * len(kept), _BUDGET_MIN)))
    edits = differences(kept, stripped)
    return strip_result(body, edits, structure.end, had_location=bool(edits), exif=kept)

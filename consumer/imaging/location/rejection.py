"""Formats in which a location is found but not removed: GIF, TIFF, AVIF and BMP.

Their metadata is reached by offsets from all over the file. Rewriting them would mean
re-encoding, which changes the picture.
"""

from consumer.imaging import formats
from consumer.imaging.formats import Format
from consumer.imaging.ifd import Block, Directory, Entry, WalkBudget, block
from consumer.imaging.location import gps, iptc, xmp
from consumer.imaging.location.edits import Cleaned, splice
from consumer.imaging.structure import Layout
from core.errors import LocationNotRemovable

_IPTC, _IMAGE_RESOURCES = 33723, 34377
_GEOTIFF = (33922, 34264, 34735)
"""Tie points, transformation and keys (OGC 19-008r4, GeoTIFF 1.1)."""


def refuse(kind: Format, body: bytes, layout: Layout) -> Cleaned:
    """The body up to its end; raises LocationNotRemovable where it tells a place.

    An XMP packet stands in the clear in all four formats, so the whole file is searched for one.
    Raises CorruptImage for directories that take too long to search.
    """
    kept = splice(body, (), layout.end)
    exif = kept if kind == formats.TIFF else layout.exif
    if xmp.names_place(kept) or gps.tells_place(exif, WalkBudget()) or _tiff_names_place(exif):
        raise LocationNotRemovable(f"{kind.name} cannot be rewritten")
    return Cleaned(kept, had_location=False, exif=exif)


def _tiff_names_place(data: bytes) -> bool:
    # Directories may share a value, which is searched once for each: as many bytes as there are.
    tiff = block(data, WalkBudget(size=len(data)))
    return tiff is not None and any(_names_place(tiff, each) for each in tiff.walk())


def _names_place(tiff: Block, directory: Directory) -> bool:
    if any(directory.entry(tag) for tag in _GEOTIFF):
        return True
    records, resources = directory.entry(_IPTC), directory.entry(_IMAGE_RESOURCES)
    if records and iptc.names_place(_value(tiff, records)):
        return True
    held = _value(tiff, resources) if resources else b""
    return iptc.without_place(held, tiff.budget) is not held


def _value(tiff: Block, entry: Entry) -> bytes:
    value = tiff.raw(entry)
    tiff.budget.spend_bytes(len(value))
    return value

"""Rejects an image with a location if its format cannot be rewritten: GIF, TIFF, AVIF and BMP.

Offsets from the whole file lead to their metadata. Removing it would mean re-encoding, which changes the image.
"""

from dataclasses import replace

from consumer.imaging import formats
from consumer.imaging.formats import Format
from consumer.imaging.ifd import Directory, Entry, TiffBlock, WalkBudget, parse_block
from consumer.imaging.strip_location import gps, iptc, xmp
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.structure import ImageStructure
from core.errors import LocationNotRemovable

_IPTC, _IMAGE_RESOURCES = 33723, 34377
_GEOTIFF = (33922, 34264, 34735)
"""Tie points, transformation and keys (OGC 19-008r4, GeoTIFF 1.1)."""


def reject_if_located(image_format: Format, body: bytes, structure: ImageStructure) -> StripResult:
    """Return the body up to its end. Raises LocationNotRemovable if it holds a location.

    An XMP packet is plain text in all four formats, so the whole file is searched for one.
    Raises CorruptImage for directories that take too long to search.
    """
    stripped = strip_result(body, (), structure.end, had_location=False, exif=structure.exif)
    kept = stripped.body
    exif = kept if image_format is formats.TIFF else structure.exif
    if xmp.has_location(kept) or gps.has_location(exif, WalkBudget()) or _tiff_has_location(exif):
        raise LocationNotRemovable(f"{image_format.name} cannot be rewritten")
    return replace(stripped, exif=exif)


def _tiff_has_location(data: bytes) -> bool:
    # Directories may share a value, and each searches it. All of them may search as many bytes as the file has.
    tiff = parse_block(data, WalkBudget(size=len(data)))
    return tiff is not None and any(_directory_has_location(tiff, each) for each in tiff.walk())


def _directory_has_location(tiff: TiffBlock, directory: Directory) -> bool:
    if any(directory.entry(tag) for tag in _GEOTIFF):
        return True
    records, resources = directory.entry(_IPTC), directory.entry(_IMAGE_RESOURCES)
    if records and iptc.has_location(_value(tiff, records)):
        return True
    blocks = _value(tiff, resources) if resources else b""
    return iptc.strip(blocks, tiff.budget) is not blocks


def _value(tiff: TiffBlock, entry: Entry) -> bytes:
    value = tiff.value(entry)
    tiff.budget.spend_bytes(len(value))
    return value

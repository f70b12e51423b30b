"""Removes the location from an image without re-encoding.

`metadata/` finds the location in blocks of metadata, and the module of each format finds the blocks.
Not searched: comments and free text, and maker notes except for the tags in `metadata/maker_notes.py`.
"""

from collections.abc import Callable
from typing import NamedTuple

from PIL import ExifTags, ImageFile

from consumer.imaging import exif, formats
from consumer.imaging.formats import Format
from consumer.imaging.policy import MetadataPolicy
from consumer.imaging.result import Edit
from consumer.imaging.strip_location import bmp, gif, isobmff, jpeg, png, tiff, webp
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.strip_location.metadata import xmp
from consumer.imaging.structure import ImageStructure, read_structure
from core.errors import LocationNotRemovable

__all__ = ["STRIPPERS", "StripResult", "Stripper", "strip_location", "verify_stripped"]


class Stripper(NamedTuple):
    """Of one format. location: removes the location.

    everything: returns the edits that remove all metadata except an orientation and the colour profile.
    """

    location: Callable[[bytes, ImageStructure], StripResult]
    everything: Callable[[bytes, ImageStructure, int], list[Edit]]


STRIPPERS: dict[Format, Stripper] = {
    formats.JPEG: Stripper(jpeg.strip, jpeg.strip_all),
    formats.PNG: Stripper(png.strip, png.strip_all),
    formats.WEBP: Stripper(webp.strip, webp.strip_all),
    formats.GIF: Stripper(gif.strip, gif.strip_all),
    formats.AVIF: Stripper(isobmff.strip, isobmff.strip_all),
    formats.HEIC: Stripper(isobmff.strip, isobmff.strip_all),
    formats.TIFF: Stripper(tiff.strip, tiff.strip_all),
    formats.BMP: Stripper(bmp.strip, bmp.strip_all),
}
_GPS_VERSION = 0


def strip_location(
    image_format: Format,
    body: bytes,
    structure: ImageStructure,
    policy: MetadataPolicy = "strip-location",
) -> StripResult:
    """Remove the metadata that `policy` names, and the bytes after the end of the image.

    Raises LocationNotRemovable if a second pass finds something again, or if the removal would change other facts.
    """
    if policy == "keep":
        return _keep(image_format, body, structure)
    stripped = STRIPPERS[image_format].location(body, structure)
    if policy == "strip-all":
        return _strip_all(image_format, body, structure, stripped)
    if stripped.had_location:
        # In a damaged EXIF block, directories overlap: too little may be blanked, or too much.
        again = _strip_again(image_format, stripped, structure)
        if exif.read_exif(again.exif) != exif.read_exif(stripped.exif):
            raise LocationNotRemovable
    return stripped


def _keep(image_format: Format, body: bytes, structure: ImageStructure) -> StripResult:
    """Search the body without changing it."""
    try:
        found = STRIPPERS[image_format].location(body, structure)
    except LocationNotRemovable:
        return strip_result(body, (), len(body), had_location=True, exif=structure.exif)
    return strip_result(body, (), len(body), had_location=found.had_location, exif=found.exif)


def _strip_all(
    image_format: Format, body: bytes, structure: ImageStructure, located: StripResult
) -> StripResult:
    everything = STRIPPERS[image_format].everything
    orientation = exif.read_exif(located.exif).orientation
    edits = everything(body, structure, orientation)
    stripped = strip_result(
        body,
        edits,
        structure.end,
        had_location=located.had_location,
        exif=located.exif,
        other_metadata=bool(edits),
    )
    if edits:
        again = _strip_again(image_format, stripped, structure)
        after = exif.read_exif(again.exif).orientation
        reread = _read_again(image_format, stripped, structure)
        left = everything(stripped.body, reread, orientation)
        if left or after != orientation:
            raise LocationNotRemovable("the metadata cannot be removed")
    return stripped


def _strip_again(
    image_format: Format, stripped: StripResult, structure: ImageStructure
) -> StripResult:
    reread = _read_again(image_format, stripped, structure)
    again = STRIPPERS[image_format].location(stripped.body, reread)
    if again.body is not stripped.body:
        raise LocationNotRemovable
    return again


def _read_again(
    image_format: Format, stripped: StripResult, structure: ImageStructure
) -> ImageStructure:
    if not image_format.matches(stripped.body):
        raise LocationNotRemovable("without it, the format is not recognised")
    return read_structure(image_format, stripped.body, accept_missing_end=structure.missing_end)


def verify_stripped(image: ImageFile.ImageFile) -> None:
    """Raise LocationNotRemovable if Pillow, an independent reader, still finds a location."""
    gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo).keys() - {_GPS_VERSION}
    packet = image.info.get("xmp", b"")
    if gps or (isinstance(packet, bytes) and xmp.has_location(packet)):
        raise LocationNotRemovable

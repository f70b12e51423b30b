"""Removes the location from an image without re-encoding.

`metadata/` finds the location in blocks of metadata, and the module of each format finds the blocks.
Not searched: comments and free text, and maker notes except for the tags in `metadata/maker_notes.py`.
"""

from collections.abc import Callable

from PIL import ExifTags, ImageFile

from consumer.imaging import exif, formats
from consumer.imaging.formats import Format
from consumer.imaging.strip_location import bmp, gif, isobmff, jpeg, png, tiff, webp
from consumer.imaging.strip_location.edits import StripResult
from consumer.imaging.strip_location.metadata import xmp
from consumer.imaging.structure import ImageStructure, read_structure
from core.errors import LocationNotRemovable

__all__ = ["STRIPPERS", "StripResult", "strip_location", "verify_stripped"]

STRIPPERS: dict[Format, Callable[[bytes, ImageStructure], StripResult]] = {
    formats.JPEG: jpeg.strip,
    formats.PNG: png.strip,
    formats.WEBP: webp.strip,
    formats.GIF: gif.strip,
    formats.AVIF: isobmff.strip,
    formats.TIFF: tiff.strip,
    formats.BMP: bmp.strip,
}
_GPS_VERSION = 0


def strip_location(image_format: Format, body: bytes, structure: ImageStructure) -> StripResult:
    """Remove the location, and the bytes after the end of the image.

    Raises LocationNotRemovable if a second pass finds a location again, or if the removal would change other facts.
    """
    strip = STRIPPERS[image_format]
    stripped = strip(body, structure)
    if stripped.had_location:
        # In a damaged EXIF block, directories overlap: too little may be blanked, or too much.
        reread = read_structure(
            image_format, stripped.body, accept_missing_end=structure.missing_end
        )
        again = strip(stripped.body, reread)
        if again.body is not stripped.body or exif.read_exif(again.exif) != exif.read_exif(
            stripped.exif
        ):
            raise LocationNotRemovable
    return stripped


def verify_stripped(image: ImageFile.ImageFile) -> None:
    """Raise LocationNotRemovable if Pillow, an independent reader, still finds a location."""
    gps = image.getexif().get_ifd(ExifTags.IFD.GPSInfo).keys() - {_GPS_VERSION}
    packet = image.info.get("xmp", b"")
    if gps or (isinstance(packet, bytes) and xmp.has_location(packet)):
        raise LocationNotRemovable

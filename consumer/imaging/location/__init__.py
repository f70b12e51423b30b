"""Where a picture was taken, taken out of it without re-encoding.

Not looked for: maker notes, comments and text in prose, content credentials (C2PA).
"""

from collections.abc import Callable

from PIL import ExifTags, ImageFile

from consumer.imaging import exif, formats
from consumer.imaging.formats import Format
from consumer.imaging.location import jpeg, png, webp, xmp
from consumer.imaging.location.edits import Cleaned
from consumer.imaging.location.rejection import refuse
from consumer.imaging.structure import Layout
from consumer.imaging.structure import read as read_layout
from core.errors import LocationNotRemovable

__all__ = ["Cleaned", "clean", "confirm"]

_CLEANERS: dict[Format, Callable[[bytes, Layout], Cleaned]] = {
    formats.JPEG: jpeg.clean,
    formats.PNG: png.clean,
    formats.WEBP: webp.clean,
}
_GPS_VERSION = 0


def clean(kind: Format, body: bytes, layout: Layout) -> Cleaned:
    """The body without location and without what follows the picture's end.

    Raises LocationNotRemovable where the format cannot be cleaned, where a second pass finds a
    location again, and where removing it would change other facts.
    """
    cleaner = _CLEANERS.get(kind)
    if cleaner is None:
        return refuse(kind, body, layout)
    cleaned = cleaner(body, layout)
    if cleaned.had_location:
        # In a damaged EXIF block, directories overlap and what is blanked may not be all, or more.
        again = cleaner(cleaned.body, read_layout(kind, cleaned.body))
        if again.body is not cleaned.body or exif.read(again.exif) != exif.read(cleaned.exif):
            raise LocationNotRemovable
    return cleaned


def confirm(image: ImageFile.ImageFile) -> None:
    """A second opinion: raises LocationNotRemovable where Pillow still finds a location."""
    left = image.getexif().get_ifd(ExifTags.IFD.GPSInfo).keys() - {_GPS_VERSION}
    packet = image.info.get("xmp", b"")
    if left or (isinstance(packet, bytes) and xmp.names_place(packet)):
        raise LocationNotRemovable

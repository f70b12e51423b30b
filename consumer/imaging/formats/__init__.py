"""The accepted image formats, and detection of a body's format by its content.

The origin's Content-Type does not count.
"""

from consumer.imaging.formats.accepted import (
    AVIF,
    BMP,
    FORMATS,
    GIF,
    HEIC,
    JPEG,
    PNG,
    TIFF,
    WEBP,
    Format,
    format_named,
)
from consumer.imaging.formats.detection import names_accepted_formats, sniff

__all__ = [
    "AVIF",
    "BMP",
    "FORMATS",
    "GIF",
    "HEIC",
    "JPEG",
    "PNG",
    "TIFF",
    "WEBP",
    "Format",
    "format_named",
    "names_accepted_formats",
    "sniff",
]

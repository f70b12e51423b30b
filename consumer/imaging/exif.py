"""Reads the EXIF facts that are kept (CIPA DC-008, EXIF 3.0). Coordinates are never kept."""

from dataclasses import dataclass
from datetime import datetime

from consumer.imaging.ifd import Directory, TiffBlock, parse_block

ORIENTATION = 0x0112
EXIF_DIRECTORY = 0x8769
_MAKE, _MODEL = 0x010F, 0x0110
_CAPTURE_TIME, _CAPTURE_OFFSET = 0x9003, 0x9011
_ORIENTATIONS = range(1, 9)
_CAMERA_MAX = 128
_TEXT_MAX = 256

PREFIX = b"Exif\0\0"
"""Precedes the block in JPEG, and often in other formats."""


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """orientation: 1 to 8, 1 if unknown. capture_time: ISO 8601 or empty.

    camera: printable, at most 128 characters, or empty.
    """

    orientation: int = 1
    capture_time: str = ""
    camera: str = ""


def read_exif(data: bytes) -> ExifFacts:
    """Read a block, with or without its prefix. A damaged block gives the facts that are legible."""
    tiff = parse_block(data.removeprefix(PREFIX))
    main = next(tiff.walk(), None) if tiff else None
    if tiff is None or main is None:
        return ExifFacts()
    details = tiff.directory(tiff.number(main.entry(EXIF_DIRECTORY)))
    orientation = tiff.number(main.entry(ORIENTATION), default=1)
    return ExifFacts(
        orientation=orientation if orientation in _ORIENTATIONS else 1,
        capture_time=_capture_time(tiff, details) if details else "",
        camera=_camera(_text(tiff, main, _MAKE), _text(tiff, main, _MODEL)),
    )


def _capture_time(tiff: TiffBlock, details: Directory) -> str:
    text = _text(tiff, details, _CAPTURE_TIME)
    try:
        time = datetime.strptime(text, "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF keeps the zone in another tag
    except ValueError:
        return ""
    try:
        zone = datetime.strptime(_text(tiff, details, _CAPTURE_OFFSET), "%z").tzinfo
    except ValueError:
        zone = None
    return time.replace(tzinfo=zone).isoformat()


def _camera(make: str, model: str) -> str:
    """Join maker and model. Most makers repeat their name in the model."""
    repeated = make and model.casefold().startswith(make.split(maxsplit=1)[0].casefold())
    return (model if repeated else f"{make} {model}".strip())[:_CAMERA_MAX].strip()


def _text(tiff: TiffBlock, directory: Directory, tag: int) -> str:
    entry = directory.entry(tag)
    if entry is None:
        return ""
    return _clean_text(tiff.value(entry)[:_TEXT_MAX])


def _clean_text(raw: bytes) -> str:
    """Keep printable text up to the first zero byte, with white space collapsed."""
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace").replace("\ufffd", "")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

"""What is kept of an EXIF block (CIPA DC-008, EXIF 3.0). Coordinates are never among it."""

from dataclasses import dataclass
from datetime import datetime

from consumer.imaging.ifd import Block, Directory, block

ORIENTATION = 0x0112
EXIF_DIRECTORY = 0x8769
_MAKE, _MODEL = 0x010F, 0x0110
_TAKEN, _TAKEN_OFFSET = 0x9003, 0x9011
_ORIENTATIONS = range(1, 9)
_CAMERA_MAX = 128
_TEXT_MAX = 256

PREFIX = b"Exif\0\0"
"""What stands before the block in JPEG, and by habit elsewhere."""


@dataclass(frozen=True, slots=True)
class ExifFacts:
    """orientation: 1 to 8, 1 where the block does not say. capture_time: ISO 8601 or empty.

    camera: printable, at most 128 characters, or empty.
    """

    orientation: int = 1
    capture_time: str = ""
    camera: str = ""


def read(data: bytes) -> ExifFacts:
    """Facts of a block, with or without its prefix. A damaged one says what it still can."""
    found = block(data.removeprefix(PREFIX))
    main = next(found.walk(), None) if found else None
    if found is None or main is None:
        return ExifFacts()
    details = found.directory(found.number(main.entry(EXIF_DIRECTORY)))
    orientation = found.number(main.entry(ORIENTATION), default=1)
    return ExifFacts(
        orientation=orientation if orientation in _ORIENTATIONS else 1,
        capture_time=_capture_time(found, details) if details else "",
        camera=_camera(_text(found, main, _MAKE), _text(found, main, _MODEL)),
    )


def _capture_time(found: Block, details: Directory) -> str:
    try:
        taken = datetime.strptime(_text(found, details, _TAKEN), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - EXIF's time has no zone of its own
    except ValueError:
        return ""
    try:
        zone = datetime.strptime(_text(found, details, _TAKEN_OFFSET), "%z").tzinfo
    except ValueError:
        zone = None
    return taken.replace(tzinfo=zone).isoformat()


def _camera(make: str, model: str) -> str:
    """Most makers repeat their name in the model's."""
    repeated = make and model.casefold().startswith(make.split(maxsplit=1)[0].casefold())
    return (model if repeated else f"{make} {model}".strip())[:_CAMERA_MAX].strip()


def _text(found: Block, directory: Directory, tag: int) -> str:
    entry = directory.entry(tag)
    if entry is None:
        return ""
    return _clean_text(found.raw(entry)[:_TEXT_MAX])


def _clean_text(raw: bytes) -> str:
    """Up to the first zero; printable, white space collapsed."""
    text = raw.split(b"\0", 1)[0].decode("utf-8", "replace").replace("\ufffd", "")
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

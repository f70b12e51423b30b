"""Reads the EXIF facts that are kept (CIPA DC-008, EXIF 3.0). Coordinates are never kept."""

from codecs import getincrementaldecoder
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from consumer.imaging.ifd import Directory, TiffBlock, parse_block
from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.png_text import (
    RAW_PROFILE,
    TEXT_CHUNKS,
    decode_profile,
    inflate,
    split_text,
)

ORIENTATION = 0x0112
EXIF_DIRECTORY = 0x8769
_MAKE, _MODEL = 0x010F, 0x0110
_CAPTURE_TIME, _CAPTURE_OFFSET = 0x9003, 0x9011
_ORIENTATIONS = range(1, 9)
_CAMERA_MAX = 128
_TEXT_MAX = 256

_PROFILES = frozenset({RAW_PROFILE + b"exif", RAW_PROFILE + b"app1"})
_PROFILE_MAX = 1_048_576
"""Bytes of an inflated profile. It takes twice the size of EXIF, which is 64 KiB in JPEG."""

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


def published_chunk(body: bytes, structure: ImageStructure, name: bytes) -> Segment | None:
    """Return the first chunk of this name that is an EXIF block, or else the first of this name.

    The formats allow one chunk (PNG, section 11.3.4.5; RFC 9649, section 2.7.1.5). Readers disagree on further ones.
    """
    chunks = [chunk for chunk in structure.segments if chunk.name == name]
    blocks = (chunk for chunk in chunks if is_block(chunk.payload(body)))
    return next(blocks, chunks[0] if chunks else None)


def is_block(payload: bytes) -> bool:
    """Return whether a chunk has a TIFF header, with or without the prefix of JPEG."""
    return parse_block(payload.removeprefix(PREFIX), any_version=True) is not None


def complete_from_profile(facts: ExifFacts, body: bytes, structure: ImageStructure) -> ExifFacts:
    """Add camera and time from a profile in a text chunk of a PNG, if the image has no EXIF with them.

    Its orientation does not count: browsers do not read it.
    """
    if facts.camera or facts.capture_time:
        return facts
    profile = next(_profiles(body, structure), b"")
    found = read_exif(profile)
    return replace(facts, camera=found.camera, capture_time=found.capture_time)


def _profiles(body: bytes, structure: ImageStructure) -> Iterator[bytes]:
    for chunk in structure.segments:
        if chunk.name in TEXT_CHUNKS:
            keyword, deflated, text = split_text(chunk.name, chunk.payload(body))
            if keyword.lower() in _PROFILES:
                profile = decode_profile(inflate(text, _PROFILE_MAX) if deflated else text)
                if profile and parse_block(profile.removeprefix(PREFIX)):
                    yield profile


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
    """Keep printable text up to the first zero byte, with white space collapsed.

    The text is UTF-8 (EXIF 3.0, section 4.6.2), or else Latin-1: older writers ignored the rule of plain ASCII.
    """
    text = _decode_text(raw.split(b"\0", 1)[0])
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _decode_text(raw: bytes) -> str:
    decoder = getincrementaldecoder("utf-8")()
    try:
        # A text of _TEXT_MAX bytes may be cut inside a character.
        return decoder.decode(raw, final=len(raw) < _TEXT_MAX)
    except UnicodeDecodeError:
        return raw.decode("latin-1")

"""Names the parts of a body that are removed. The bytes after the end of the image are classified by their content."""

import re
from collections.abc import Iterator

from consumer.imaging.formats import JPEG
from consumer.imaging.strip_location import StripResult
from consumer.imaging.structure import ImageStructure, Segment, read_structure
from core.errors import ImageFailure
from core.model.image import RemovedPart

_IMAGES_MAX = 8
"""Images after the end that are read. Each is copied once, and a body may consist of thousands."""
_JPEG_START = b"\xff\xd8\xff"
_APPLICATION_SEGMENTS = frozenset({b"\xe1", b"\xe2"})
_GAIN_MAP = re.compile(rb"hdr-?gain-?map|\bhdrgm:|urn:iso:std:iso:ts:21496", re.IGNORECASE)
"""Marks of a gain map: Ultra HDR and Adobe (XMP), Apple (XMP), ISO 21496-1 (annex C, APP2)."""
_SEMANTIC = re.compile(rb"""Semantic\s*(?:=\s*["']|>\s*)(\w+)""")
"""The meanings of a file's images, in order (Google's Container namespace). The primary image is the first."""
_FILE_TYPE = re.compile(rb"\x00\x00[\x00-\x03][\x08-\xff]ftyp", re.DOTALL)
"""The first box of an MP4 or QuickTime file."""
_SAMSUNG_VIDEO = b"MotionPhoto_Data"
_NUL = b"\0"


def removed_parts(
    body: bytes, structure: ImageStructure, stripped: StripResult
) -> tuple[RemovedPart, ...]:
    """Return the parts of `body` that the stripped body lacks; empty if both are the same."""
    if stripped.body is body:
        return ()
    parts = set(_trailing_parts(body, structure, stripped.end))
    if stripped.had_location:
        parts.add(RemovedPart.LOCATION)
    if stripped.other_metadata or not parts:
        parts.add(RemovedPart.METADATA)
    return tuple(part for part in RemovedPart if part in parts)


def _trailing_parts(body: bytes, structure: ImageStructure, end: int) -> Iterator[RemovedPart]:
    """Yield the parts after the end. Bytes that belong to no other part are a trailer, except for padding."""
    if end == len(body):
        return
    semantics, at = _semantics(body, structure), end
    for index in range(1, _IMAGES_MAX + 1):
        rest = body[at:].lstrip(_NUL)
        if not rest.startswith(_JPEG_START):
            break
        semantic = semantics[index] if index < len(semantics) else b""
        part, length = _image(rest, semantic)
        yield part
        at = len(body) - len(rest) + length
    video = _FILE_TYPE.search(body, at)
    if video:
        yield RemovedPart.VIDEO
    others = body[at : video.start() if video else len(body)]
    nothing_else = at == end and video is None
    if nothing_else or (others.strip(_NUL) and not (video and _SAMSUNG_VIDEO in others)):
        yield RemovedPart.TRAILER


def _image(body: bytes, semantic: bytes) -> tuple[RemovedPart, int]:
    """Return the kind of an image, and its length. A damaged image reaches to the end."""
    try:
        structure = read_structure(JPEG, body)
    except ImageFailure:
        return RemovedPart.SECOND_IMAGE, len(body)
    marked = semantic == b"GainMap" or any(
        _GAIN_MAP.search(text) for text in _application_data(body, structure.segments)
    )
    return (RemovedPart.GAIN_MAP if marked else RemovedPart.SECOND_IMAGE), structure.end


def _semantics(body: bytes, structure: ImageStructure) -> list[bytes]:
    return [
        name
        for text in _application_data(body, structure.segments)
        for name in _SEMANTIC.findall(text)
    ]


def _application_data(body: bytes, segments: tuple[Segment, ...]) -> Iterator[bytes]:
    return (each.payload(body) for each in segments if each.name in _APPLICATION_SEGMENTS)

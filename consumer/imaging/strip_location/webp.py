"""Removes the location from WebP chunks: EXIF and XMP (RFC 9649, section 2.7.1.5)."""

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location import gps, xmp
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.structure import ImageStructure

_XMP_FLAG = 0x04
_RIFF_SIZE = slice(4, 8)


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Blank EXIF in place, and drop XMP with its flag. Does not touch pixel data."""
    edits: list[Edit] = []
    block, budget = b"", WalkBudget()
    for chunk in structure.segments:
        payload = chunk.payload(body) if chunk.name in (b"EXIF", b"XMP ") else b""
        if chunk.name == b"EXIF":
            block = block or payload
            after = gps.strip(payload, budget)
            if after != payload:
                edits.append((chunk.data, chunk.data + chunk.size, after))
        elif chunk.name == b"XMP " and xmp.has_location(payload):
            edits.append((chunk.start, chunk.stop, b""))
    had_location = bool(edits)
    if any(not replacement for _, _, replacement in edits):
        edits += _header_edits(body, structure, edits)
    return strip_result(body, edits, structure.end, had_location=had_location, exif=block)


def _header_edits(body: bytes, structure: ImageStructure, edits: list[Edit]) -> list[Edit]:
    removed = sum(stop - start - len(replacement) for start, stop, replacement in edits)
    size = int.from_bytes(body[_RIFF_SIZE], "little") - removed
    header: list[Edit] = [(_RIFF_SIZE.start, _RIFF_SIZE.stop, size.to_bytes(4, "little"))]
    extended = structure.segments[0]
    if extended.name == b"VP8X" and extended.size:
        flags = body[extended.data] & ~_XMP_FLAG
        header.append((extended.data, extended.data + 1, bytes((flags,))))
    return header

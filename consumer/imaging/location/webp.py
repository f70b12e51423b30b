"""Location in WebP chunks: EXIF and XMP (RFC 9649, section 2.7.1.5)."""

from consumer.imaging.ifd import WalkBudget
from consumer.imaging.location import gps, xmp
from consumer.imaging.location.edits import Cleaned, Edit, splice
from consumer.imaging.structure import Layout

_XMP_FLAG = 0x04
_RIFF_SIZE = slice(4, 8)


def clean(body: bytes, layout: Layout) -> Cleaned:
    """Blanks EXIF in place and drops XMP with its flag; pixel data is never touched."""
    edits: list[Edit] = []
    block, budget = b"", WalkBudget()
    for part in layout.parts:
        payload = part.payload(body) if part.name in (b"EXIF", b"XMP ") else b""
        if part.name == b"EXIF":
            block = block or payload
            after = gps.without_place(payload, budget)
            if after != payload:
                edits.append((part.data, part.data + part.size, after))
        elif part.name == b"XMP " and xmp.names_place(payload):
            edits.append((part.start, part.stop, b""))
    had_location = bool(edits)
    if any(not replacement for _, _, replacement in edits):
        edits += _header_edits(body, layout, edits)
    return Cleaned(splice(body, edits, layout.end), had_location, block)


def _header_edits(body: bytes, layout: Layout, edits: list[Edit]) -> list[Edit]:
    shrunk = sum(stop - start - len(replacement) for start, stop, replacement in edits)
    size = int.from_bytes(body[_RIFF_SIZE], "little") - shrunk
    header: list[Edit] = [(_RIFF_SIZE.start, _RIFF_SIZE.stop, size.to_bytes(4, "little"))]
    extended = layout.parts[0]
    if extended.name == b"VP8X" and extended.size:
        flags = body[extended.data] & ~_XMP_FLAG
        header.append((extended.data, extended.data + 1, bytes((flags,))))
    return header

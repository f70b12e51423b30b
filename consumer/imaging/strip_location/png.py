"""Removes the location from PNG chunks: eXIf, and text that holds EXIF, XMP, IPTC or coordinates."""

import re
import zlib
from dataclasses import dataclass, field

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location import gps, iptc, xmp
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.structure import ImageStructure, Segment

_COMPRESSED_EXIF = b"zxIf"
"""Deflated EXIF, a proposal that was never adopted. ExifTool reads it."""
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_LOCATION_KEYWORD = re.compile(
    rb"gps|latitude|longitude|geo.?(?:tag|loc|code|url)|\bgeo\b|location|coordinates"
    rb"|\bcity\b|\bcountry\b",
    re.IGNORECASE,
)
_RAW_PROFILE = b"raw profile type "
_XMP_LABEL = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP = b"8BIM"
_CHUNK_TEXT_MAX = 1_048_576
"""Bytes of one inflated text. Pillow has the same limit (`PngImagePlugin.MAX_TEXT_CHUNK`)."""
_ALL_TEXT_MAX = 16_777_216


@dataclass(slots=True)
class _TextBudget:
    """Bytes that may still be inflated in this file, and the budget for walking them."""

    left: int = _ALL_TEXT_MAX
    walk: WalkBudget = field(default_factory=WalkBudget)

    def inflate(self, data: bytes) -> bytes | None:
        """Inflate a text. Returns None if it is damaged or exceeds the budget."""
        limit = min(self.left, _CHUNK_TEXT_MAX)
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(data, max(limit, 1))
        except zlib.error:
            return None
        self.left -= len(text)
        return None if inflater.unconsumed_tail or self.left < 0 else text


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Drop text chunks with a location, and blank eXIf in place. Does not touch pixel data.

    Text that cannot be read within the limits may hold a location, so it is dropped too. Deflated
    EXIF is dropped unread. Raises CorruptImage for EXIF that takes too long to search.
    """
    edits: list[Edit] = []
    had_location, unread, block = False, False, b""
    budget = _TextBudget()
    for chunk in structure.segments:
        if chunk.name == b"eXIf":
            block = block or chunk.payload(body)
            after = gps.strip(chunk.payload(body), budget.walk)
            if after != chunk.payload(body):
                edits.append((chunk.start, chunk.stop, _chunk(chunk.name, after)))
                had_location = True
        elif chunk.name == _COMPRESSED_EXIF:
            edits.append((chunk.start, chunk.stop, b""))
            unread = True
        elif chunk.name in _TEXT_CHUNKS:
            located = _text_has_location(chunk, body, budget)
            if located is not False:
                edits.append((chunk.start, chunk.stop, b""))
            had_location |= located is True
            unread |= located is None
    return strip_result(
        body,
        edits,
        structure.end,
        had_location=had_location,
        exif=block,
        other_metadata=unread,
    )


def _chunk(name: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(payload, zlib.crc32(name))
    return len(payload).to_bytes(4, "big") + name + payload + checksum.to_bytes(4, "big")


def _text_has_location(chunk: Segment, body: bytes, budget: _TextBudget) -> bool | None:
    """Search a text chunk. Returns None if it cannot be read."""
    keyword, _, rest = chunk.payload(body).partition(b"\0")
    if _LOCATION_KEYWORD.search(keyword):
        return True
    text = _text(chunk.name, rest, budget)
    if text is None:
        return None
    if keyword.lower().startswith(_RAW_PROFILE):
        return _profile_has_location(text, budget.walk)
    return xmp.has_location(text)


def _text(name: bytes, rest: bytes, budget: _TextBudget) -> bytes | None:
    """Return the text after the keyword, for each type of text chunk (PNG specification, 11.3.3)."""
    if name == b"tEXt":
        return rest
    if name == b"zTXt":
        return budget.inflate(rest[1:])
    compressed, fields = rest[:1], rest[2:].split(b"\0", 2)
    text = fields[-1]
    return budget.inflate(text) if compressed == b"\x01" else text


def _profile_has_location(text: bytes, budget: WalkBudget) -> bool | None:
    """Search a profile in ImageMagick's form: a line with the type, one with the length, then hexadecimal digits."""
    lines = text.strip().split(b"\n", 2)
    try:
        profile = bytes.fromhex(lines[-1].decode("ascii"))
    except ValueError:
        return None
    if profile.startswith(_PHOTOSHOP):
        return iptc.strip(profile, budget) is not profile
    if profile.startswith(_XMP_LABEL):
        return xmp.has_location(profile)
    located = gps.has_location(profile.removeprefix(exif.PREFIX), budget)
    return located or iptc.has_location(profile) or xmp.has_location(profile)

"""Location in PNG chunks: eXIf, and text that holds EXIF, XMP, IPTC or coordinates."""

import re
import zlib
from dataclasses import dataclass, field

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.location import gps, iptc, xmp
from consumer.imaging.location.edits import Cleaned, Edit, splice
from consumer.imaging.structure import Layout, Part

_PACKED_EXIF = b"zxIf"
"""A proposal that was never adopted: EXIF, deflated. ExifTool reads it."""
_TEXT_CHUNKS = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_PLACE_KEYWORD = re.compile(
    rb"gps|latitude|longitude|geo.?(?:tag|loc|code|url)|\bgeo\b|location|coordinates"
    rb"|\bcity\b|\bcountry\b",
    re.IGNORECASE,
)
_RAW_PROFILE = b"raw profile type "
_XMP_LABEL = b"http://ns.adobe.com/xap/1.0/\0"
_PHOTOSHOP = b"8BIM"
_CHUNK_TEXT_MAX = 1_048_576
"""Bytes of one text once inflated: Pillow's own bound (`PngImagePlugin.MAX_TEXT_CHUNK`)."""
_ALL_TEXT_MAX = 16_777_216


@dataclass(slots=True)
class _TextBudget:
    """Bytes that may still be inflated in this file, and what walking them may cost."""

    left: int = _ALL_TEXT_MAX
    walk: WalkBudget = field(default_factory=WalkBudget)

    def inflate(self, data: bytes) -> bytes | None:
        """None where the text is damaged or beyond the budget."""
        limit = min(self.left, _CHUNK_TEXT_MAX)
        inflater = zlib.decompressobj()
        try:
            text = inflater.decompress(data, max(limit, 1))
        except zlib.error:
            return None
        self.left -= len(text)
        return None if inflater.unconsumed_tail or self.left < 0 else text


def clean(body: bytes, layout: Layout) -> Cleaned:
    """Drops text chunks and blanks eXIf in place; pixel data is never touched.

    Text that cannot be read within bounds cannot be cleared of the suspicion, and goes as well;
    so does deflated EXIF, unread. Raises CorruptImage for EXIF that takes too long to search.
    """
    edits: list[Edit] = []
    had_location, block = False, b""
    budget = _TextBudget()
    for part in layout.parts:
        if part.name == b"eXIf":
            block = block or part.payload(body)
            after = gps.without_place(part.payload(body), budget.walk)
            if after != part.payload(body):
                edits.append((part.start, part.stop, _chunk(part.name, after)))
                had_location = True
        elif part.name == _PACKED_EXIF:
            edits.append((part.start, part.stop, b""))
        elif part.name in _TEXT_CHUNKS:
            verdict = _text_tells_place(part, body, budget)
            if verdict is not False:
                edits.append((part.start, part.stop, b""))
            had_location |= verdict is True
    return Cleaned(splice(body, edits, layout.end), had_location, block)


def _chunk(name: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(payload, zlib.crc32(name))
    return len(payload).to_bytes(4, "big") + name + payload + checksum.to_bytes(4, "big")


def _text_tells_place(part: Part, body: bytes, budget: _TextBudget) -> bool | None:
    """None where the text cannot be read."""
    keyword, _, rest = part.payload(body).partition(b"\0")
    if _PLACE_KEYWORD.search(keyword):
        return True
    text = _text(part.name, rest, budget)
    if text is None:
        return None
    if keyword.lower().startswith(_RAW_PROFILE):
        return _profile_tells_place(text, budget.walk)
    return xmp.names_place(text)


def _text(name: bytes, rest: bytes, budget: _TextBudget) -> bytes | None:
    """PNG specification, 11.3.3: what follows the keyword in each kind of text chunk."""
    if name == b"tEXt":
        return rest
    if name == b"zTXt":
        return budget.inflate(rest[1:])
    compressed, fields = rest[:1], rest[2:].split(b"\0", 2)
    text = fields[-1]
    return budget.inflate(text) if compressed == b"\x01" else text


def _profile_tells_place(text: bytes, budget: WalkBudget) -> bool | None:
    """ImageMagick's form: a line with the type, one with the length, then hexadecimal digits."""
    lines = text.strip().split(b"\n", 2)
    try:
        profile = bytes.fromhex(lines[-1].decode("ascii"))
    except ValueError:
        return None
    if profile.startswith(_PHOTOSHOP):
        return iptc.without_place(profile, budget) is not profile
    if profile.startswith(_XMP_LABEL):
        return xmp.names_place(profile)
    tells = gps.tells_place(profile.removeprefix(exif.PREFIX), budget)
    return tells or iptc.names_place(profile) or xmp.names_place(profile)

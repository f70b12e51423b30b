"""Location in JPEG segments: EXIF, XMP with its extension, and IPTC in Photoshop's segment."""

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.location import gps, iptc, xmp
from consumer.imaging.location.edits import Cleaned, Edit, splice
from consumer.imaging.structure import Layout, Part
from consumer.imaging.structure.jpeg import EXIF_LABEL

_APP1, _APP2, _APP13 = b"\xe1", b"\xe2", b"\xed"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEADER = len(_XMP_EXTENSION) + 40
"""The label, then the packet's MD5 as 32 digits, its length and this part's offset."""
_PHOTOSHOP = b"Photoshop 3.0\0"
_MULTI_PICTURE = b"MPF\0"
_SEGMENT_MAX = 65_533


def clean(body: bytes, layout: Layout) -> Cleaned:
    """Drops or blanks segments; entropy-coded data is never touched.

    Where pictures followed the end, their index (CIPA DC-007) goes with them. Raises CorruptImage
    for EXIF that takes too long to search.
    """
    budget = WalkBudget()
    exif_parts = _starting(body, layout, _APP1, exif.PREFIX)
    odd_parts = _oddly_labelled(body, layout)
    edits = [
        *_exif_edits(body, exif_parts, budget),
        *_xmp_edits(body, layout),
        *_photoshop_edits(body, layout, budget),
    ]
    had_location = bool(edits) or _tell_place(body, odd_parts, budget)
    edits += [_dropped(part) for part in odd_parts]
    if layout.end < len(body):
        edits += [_dropped(part) for part in _starting(body, layout, _APP2, _MULTI_PICTURE)]
    block = exif_parts[0].payload(body) if exif_parts else b""
    return Cleaned(splice(body, edits, layout.end), had_location, block)


def _starting(body: bytes, layout: Layout, name: bytes, label: bytes) -> list[Part]:
    return [
        part
        for part in layout.parts
        if part.name == name and body.startswith(label, part.data, part.data + part.size)
    ]


def _oddly_labelled(body: bytes, layout: Layout) -> list[Part]:
    """EXIF whose label ends in some other byte than zero, as some cameras wrote it.

    Few readers see it, and those that do disagree on what it is a part of.
    """
    labelled = _starting(body, layout, _APP1, EXIF_LABEL)
    return [part for part in labelled if not body.startswith(exif.PREFIX, part.data)]


def _tell_place(body: bytes, parts: list[Part], budget: WalkBudget) -> bool:
    pieces = [part.payload(body)[len(exif.PREFIX) :] for part in parts]
    return any(gps.tells_place(block, budget) for block in (b"".join(pieces), *pieces))


def _dropped(part: Part) -> Edit:
    return part.start, part.stop, b""


def _exif_edits(body: bytes, parts: list[Part], budget: WalkBudget) -> list[Edit]:
    """Some readers join several segments into one block, others read the first or the last."""
    pieces = [part.payload(body)[len(exif.PREFIX) :] for part in parts]
    cleaned = _split(gps.without_place(b"".join(pieces), budget), pieces)
    if len(parts) > 1:
        cleaned = [gps.without_place(piece, budget) for piece in cleaned]
    return [
        (part.data + len(exif.PREFIX), part.data + part.size, after)
        for part, before, after in zip(parts, pieces, cleaned, strict=True)
        if before != after
    ]


def _split(joined: bytes, like: list[bytes]) -> list[bytes]:
    pieces, at = [], 0
    for each in like:
        pieces.append(joined[at : at + len(each)])
        at += len(each)
    return pieces


def _xmp_edits(body: bytes, layout: Layout) -> list[Edit]:
    """A packet and its extensions stand or fall together; the extensions may split a name."""
    packets = _starting(body, layout, _APP1, _XMP)
    extensions = _starting(body, layout, _APP1, _XMP_EXTENSION)
    pieces = sorted(
        (part.payload(body)[len(_XMP_EXTENSION) :], part.payload(body)[_EXTENSION_HEADER:])
        for part in extensions
    )
    joined = b"".join(piece for _, piece in pieces)
    if not any(xmp.names_place(text) for text in (joined, *(p.payload(body) for p in packets))):
        return []
    return [_dropped(part) for part in (*packets, *extensions)]


def _photoshop_edits(body: bytes, layout: Layout, budget: WalkBudget) -> list[Edit]:
    """Resources run on from segment to segment; what is kept is laid out anew."""
    parts = _starting(body, layout, _APP13, _PHOTOSHOP)
    resources = b"".join(part.payload(body)[len(_PHOTOSHOP) :] for part in parts)
    kept = iptc.without_place(resources, budget)
    if kept is resources:
        return []
    first = parts[0]
    return [
        (first.start, first.stop, _photoshop_segments(kept)),
        *(_dropped(part) for part in parts[1:]),
    ]


def _photoshop_segments(resources: bytes) -> bytes:
    room = _SEGMENT_MAX - len(_PHOTOSHOP)
    segments = bytearray()
    for at in range(0, len(resources), room):
        payload = _PHOTOSHOP + resources[at : at + room]
        segments += b"\xff" + _APP13 + (len(payload) + 2).to_bytes(2, "big") + payload
    return bytes(segments)

"""Removes the location from JPEG segments: by their labels, and by their content whatever the label."""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget, parse_block
from consumer.imaging.result import Edit
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.strip_location.metadata import content, directories, iptc
from consumer.imaging.strip_location.metadata.orientation import needed_block
from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.jpeg import EXIF_LABEL

_APP0, _APP1, _APP2, _APP11, _APP13, _APP14 = (
    bytes((marker,)) for marker in (0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE)
)
_SOI, _SOS = b"\xff\xd8", b"\xda"
_METADATA = frozenset(bytes((marker,)) for marker in range(0xE0, 0xFF))
"""Application segments, reserved segments and comments (ITU T.81, table B.1)."""
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEADER = len(_XMP_EXTENSION) + 40
"""The label, the MD5 of the packet as 32 digits, its length, and the offset of this segment."""
_PHOTOSHOP = b"Photoshop 3.0\0"
_PHOTOSHOP_LABEL = b"Photoshop 3"
"""Readers do not compare the rest."""
_MULTI_PICTURE = b"MPF\0"
_PROFILE = b"ICC_PROFILE\0"
_PROFILE_HEADER = len(_PROFILE) + 2
"""The label, and the numbers of the segment and of all segments (ICC.1:2022, B.4)."""
_BOXES = b"JP"
_BOXES_HEADER = 16
"""The label, the numbers of the box and of the segment, and the header of the box, which each segment repeats
(ISO/IEC 19566-5, annex D)."""
_THERMAL = b"FLIR\0"
_THERMAL_HEADER = 8
_THERMAL_GPS = re.compile(
    rb"(?: \x01\0\0\0 | \0\0\0[\0\x01] ) .{4} [NS]\0 [EW]\0 .{4} (?!\0{16}) .{8,88}",
    re.DOTALL | re.VERBOSE,
)
"""The GPS record of a thermal camera with a position (ExifTool's table "FLIR GPSInfo Tags"), in either byte order.

A camera without a fix may repeat its last position.
"""
_LABELS = {
    _APP0: ((b"JFIF\0", "fixed"),),
    _APP1: ((_XMP, "xmp"), (_XMP_EXTENSION, "xmp"), (_THERMAL, "thermal")),
    _APP2: ((_PROFILE, "profile"), (_MULTI_PICTURE, "index")),
    _APP11: ((_BOXES, "boxes"),),
    _APP13: ((_PHOTOSHOP_LABEL, "photoshop"),),
    _APP14: ((b"Adobe", "fixed"),),
}
_FIXED_SIZES = {_APP0: 14, _APP14: 12}
"""Bytes of a JFIF segment without its thumbnail (ITU T.871, 10.1), and of Adobe's. A decoder uses them."""
_PARTS_OF_THE_IMAGE = frozenset({"fixed", "profile"})
_SEGMENT_MAX = 65_533
_BLOCK_MIN = 8
"""Bytes of a TIFF header."""

_Kinds = dict[str, list[Segment]]


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Drop or blank segments with a location. Does not touch entropy-coded data.

    Further images after the end are dropped with their index (CIPA DC-007). Raises CorruptImage for
    EXIF that takes too long to search.
    """
    budget = WalkBudget()
    kinds = _sort(body, structure.segments)
    edits = [
        edit
        for kind, segments in kinds.items()
        if kind in _SEARCHES
        for edit in _SEARCHES[kind](body, segments, budget)
    ]
    odd_segments = kinds.get("odd exif", [])
    had_location = bool(edits) or (
        bool(odd_segments) and _odd_exif_has_location(body, odd_segments, budget)
    )
    edits += [_drop(segment) for segment in odd_segments]
    if structure.end < len(body):
        edits += {_drop(segment) for segment in kinds.get("index", ())} - set(edits)
    if edits:
        edits += _stray_edits(kinds.get("unusual", []), edits)
    block = kinds["exif"][0].payload(body) if "exif" in kinds else b""
    return strip_result(
        body,
        edits,
        structure.end,
        had_location=had_location,
        exif=block,
        other_metadata=bool(odd_segments),
    )


def strip_all(body: bytes, structure: ImageStructure, orientation: int) -> list[Edit]:
    """Drop all segments that a decoder does not use, and cut those of a fixed size.

    The first EXIF becomes one with the orientation alone. A colour profile with a location is dropped.
    """
    block, edits = needed_block(orientation), list[Edit]()
    for kind, segments in _sort(body, structure.segments).items():
        if kind in _PARTS_OF_THE_IMAGE:
            edits += _part_edits(body, kind, segments)
            continue
        for segment in segments:
            if kind == "exif" and block:
                payload, block = exif.PREFIX + block, b""
                if segment.payload(body) != payload:
                    edits.append((segment.start, segment.stop, _segment(_APP1, payload)))
            else:
                edits.append(_drop(segment))
    return edits


def _part_edits(body: bytes, kind: str, segments: list[Segment]) -> list[Edit]:
    if kind == "profile":
        return _profile_edits(body, segments, WalkBudget())
    return [_cut(body, segment) for segment in segments]


def _cut(body: bytes, segment: Segment) -> Edit:
    """Keep the bytes that a decoder uses. Those of JFIF end in the size of a thumbnail, which becomes 0."""
    kept = segment.payload(body)[: _FIXED_SIZES[segment.name]]
    if segment.name == _APP0:
        kept = kept[:-2] + bytes(2)
    return segment.start, segment.stop, _segment(segment.name, kept)


def _segment(name: bytes, payload: bytes) -> bytes:
    return b"\xff" + name + (len(payload) + 2).to_bytes(2, "big") + payload


def _sort(body: bytes, segments: Sequence[Segment]) -> _Kinds:
    """Sort by kind what may hold metadata: segments, and stray bytes between them."""
    kinds: _Kinds = {}
    at, entropy_coded = len(_SOI), False
    for segment in segments:
        if segment.start != at and not entropy_coded:
            stray = Segment(b"", at, segment.start, at, segment.start - at)
            kinds.setdefault("unusual", []).append(stray)
        at, entropy_coded = segment.stop, segment.name == _SOS
        if segment.name in _METADATA:
            kind = _kind(body, segment, continued="exif" in kinds)
            if kind:
                kinds.setdefault(kind, []).append(segment)
    return kinds


def _kind(body: bytes, segment: Segment, *, continued: bool) -> str:
    """Name the kind of a segment; empty for one of a fixed size, which has no room for a text.

    continued: whether there is EXIF already, which this segment may continue. "odd exif" is EXIF
    whose label ends in a byte other than zero, which some cameras wrote. Few readers accept it, and
    they disagree on how to join it with other segments.
    """
    at = segment.data
    for label, kind in _LABELS.get(segment.name, ()):
        if body.startswith(label, at, at + segment.size):
            return kind if segment.size > _FIXED_SIZES.get(segment.name, 0) else ""
    if segment.name != _APP1 or not body.startswith(EXIF_LABEL, at, at + segment.size):
        return "unusual"
    if not body.startswith(exif.PREFIX, at, at + segment.size):
        return "odd exif"
    block = body[at + len(exif.PREFIX) : at + min(segment.size, len(exif.PREFIX) + _BLOCK_MIN)]
    readable = (
        continued or len(block) < _BLOCK_MIN or parse_block(block, any_version=True) is not None
    )
    return "exif" if readable else "unusual"


def _drop(segment: Segment) -> Edit:
    return segment.start, segment.stop, b""


def _odd_exif_has_location(body: bytes, segments: list[Segment], budget: WalkBudget) -> bool:
    pieces = [segment.payload(body)[len(exif.PREFIX) :] for segment in segments]
    return any(directories.has_location(block, budget) for block in (b"".join(pieces), *pieces))


def _exif_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Blank the location in EXIF: in all segments joined, in each block with its continuations, and in each segment.

    Some readers join several segments into one block, others begin one at each header, or read the first or the last.
    """
    pieces = [segment.payload(body)[len(exif.PREFIX) :] for segment in segments]
    stripped = _strip_runs(pieces, (0,), budget)
    if len(segments) > 1:
        headers = [at for at, piece in enumerate(pieces) if at and parse_block(piece)]
        for starts in dict.fromkeys(((0, *headers), tuple(range(len(pieces))))):
            stripped = _strip_runs(stripped, starts, budget)
    return _replace(segments, len(exif.PREFIX), pieces, stripped)


def _strip_runs(pieces: list[bytes], starts: tuple[int, ...], budget: WalkBudget) -> list[bytes]:
    """Blank the location in each run of pieces, joined. starts: the index of the first piece of each run."""
    stripped: list[bytes] = []
    for start, stop in pairwise((*starts, len(pieces))):
        run = pieces[start:stop]
        stripped += _split(directories.strip(b"".join(run), budget), run)
    return stripped


def _split(joined: bytes, like: list[bytes]) -> list[bytes]:
    pieces, at = [], 0
    for each in like:
        pieces.append(joined[at : at + len(each)])
        at += len(each)
    return pieces


def _replace(
    segments: list[Segment], header: int, before: list[bytes], after: list[bytes]
) -> list[Edit]:
    """Replace what follows the header of each segment that differs."""
    return [
        (segment.data + header, segment.data + segment.size, new)
        for segment, old, new in zip(segments, before, after, strict=True)
        if old != new
    ]


def _fixed_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    return [
        _cut(body, segment)
        for segment in segments
        if content.has_location(segment.payload(body), budget)
    ]


def _profile_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Drop a colour profile, which continues from segment to segment, if it holds a location."""
    profile = b"".join(segment.payload(body)[_PROFILE_HEADER:] for segment in segments)
    located = content.has_location(profile, budget)
    return [_drop(segment) for segment in segments] if located else []


def _xmp_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Drop a packet and its extensions together: a name may be split over extensions."""
    texts = [segment.payload(body) for segment in segments]
    pieces = sorted(
        (text[len(_XMP_EXTENSION) :], text[_EXTENSION_HEADER:])
        for text in texts
        if text.startswith(_XMP_EXTENSION)
    )
    joined = b"".join(piece for _, piece in pieces)
    packets = (text for text in texts if not text.startswith(_XMP_EXTENSION))
    located = any(content.has_location(text, budget) for text in (joined, *packets))
    return [_drop(segment) for segment in segments] if located else []


def _photoshop_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Rewrite the image resources, which continue from segment to segment. Drop them if a location is between them."""
    resources = b"".join(segment.payload(body)[len(_PHOTOSHOP) :] for segment in segments)
    kept = iptc.strip(resources, budget, directories.has_location)
    # The resources are counted once more, so they need a budget of their own.
    if content.has_location(kept, WalkBudget()):
        return [_drop(segment) for segment in segments]
    if kept is resources:
        return []
    first = segments[0]
    return [
        (first.start, first.stop, _photoshop_segments(kept)),
        *(_drop(segment) for segment in segments[1:]),
    ]


def _photoshop_segments(resources: bytes) -> bytes:
    capacity = _SEGMENT_MAX - len(_PHOTOSHOP)
    segments = bytearray()
    for at in range(0, len(resources), capacity):
        segments += _segment(_APP13, _PHOTOSHOP + resources[at : at + capacity])
    return bytes(segments)


def _boxes_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Drop all JUMBF boxes if one holds a location. Content credentials are signed as a whole."""
    first = b"".join(segment.payload(body) for segment in segments[:1])
    rest = b"".join(segment.payload(body)[_BOXES_HEADER:] for segment in segments[1:])
    located = content.has_location(first + rest, budget)
    return [_drop(segment) for segment in segments] if located else []


def _thermal_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Blank the GPS record of thermal images, which continue from segment to segment.

    Drop them if they hold another location.
    """
    pieces = [segment.payload(body)[_THERMAL_HEADER:] for segment in segments]
    blanked = _THERMAL_GPS.sub(lambda match: bytes(len(match[0])), b"".join(pieces))
    if content.has_location(blanked, budget):
        return [_drop(segment) for segment in segments]
    return _replace(segments, _THERMAL_HEADER, pieces, _split(blanked, pieces))


def _unusual_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Drop segments that have a location in their content, and all of them if it is split over several."""
    located = {
        segment.start for segment in segments if content.has_location(segment.payload(body), budget)
    }
    rest = [segment.payload(body) for segment in segments if segment.start not in located]
    split = len(rest) > 1 and content.has_location(b"".join(rest), budget)
    return [_drop(segment) for segment in segments if split or segment.start in located]


def _stray_edits(unusual: list[Segment], edits: list[Edit]) -> list[Edit]:
    """Drop the stray bytes behind a segment that is dropped: a JPEG whose first segment is none is not recognised."""
    stops = {stop for _, stop, replacement in edits if not replacement}
    starts = {start for start, _, _ in edits}
    strays = (segment for segment in unusual if not segment.name)
    return [_drop(each) for each in strays if each.start in stops and each.start not in starts]


_SEARCHES: dict[str, Callable[[bytes, list[Segment], WalkBudget], list[Edit]]] = {
    "fixed": _fixed_edits,
    "exif": _exif_edits,
    "xmp": _xmp_edits,
    "photoshop": _photoshop_edits,
    "boxes": _boxes_edits,
    "thermal": _thermal_edits,
    "profile": _profile_edits,
    "index": _unusual_edits,
    "unusual": _unusual_edits,
}

"""Removes the location from JPEG segments: EXIF, XMP with its extension, and IPTC in Photoshop's segment."""

from consumer.imaging import exif
from consumer.imaging.ifd import WalkBudget
from consumer.imaging.result import Edit
from consumer.imaging.strip_location import gps, iptc, xmp
from consumer.imaging.strip_location.edits import StripResult, strip_result
from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.jpeg import EXIF_LABEL

_APP1, _APP2, _APP13 = b"\xe1", b"\xe2", b"\xed"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENSION_HEADER = len(_XMP_EXTENSION) + 40
"""The label, the MD5 of the packet as 32 digits, its length, and the offset of this segment."""
_PHOTOSHOP = b"Photoshop 3.0\0"
_MULTI_PICTURE = b"MPF\0"
_SEGMENT_MAX = 65_533


def strip(body: bytes, structure: ImageStructure) -> StripResult:
    """Drop or blank segments with a location. Does not touch entropy-coded data.

    Further images after the end are dropped with their index (CIPA DC-007). Raises CorruptImage for
    EXIF that takes too long to search.
    """
    budget = WalkBudget()
    exif_segments = _find(body, structure, _APP1, exif.PREFIX)
    odd_segments = _oddly_labelled(body, structure)
    edits = [
        *_exif_edits(body, exif_segments, budget),
        *_xmp_edits(body, structure),
        *_photoshop_edits(body, structure, budget),
    ]
    had_location = bool(edits) or _have_location(body, odd_segments, budget)
    edits += [_drop(segment) for segment in odd_segments]
    if structure.end < len(body):
        edits += [_drop(segment) for segment in _find(body, structure, _APP2, _MULTI_PICTURE)]
    block = exif_segments[0].payload(body) if exif_segments else b""
    return strip_result(
        body,
        edits,
        structure.end,
        had_location=had_location,
        exif=block,
        other_metadata=bool(odd_segments),
    )


def _find(body: bytes, structure: ImageStructure, name: bytes, label: bytes) -> list[Segment]:
    return [
        each
        for each in structure.segments
        if each.name == name and body.startswith(label, each.data, each.data + each.size)
    ]


def _oddly_labelled(body: bytes, structure: ImageStructure) -> list[Segment]:
    """Find EXIF whose label ends in a byte other than zero, which some cameras wrote.

    Few readers accept it, and they disagree on how to join it with other segments.
    """
    labelled = _find(body, structure, _APP1, EXIF_LABEL)
    return [segment for segment in labelled if not body.startswith(exif.PREFIX, segment.data)]


def _have_location(body: bytes, segments: list[Segment], budget: WalkBudget) -> bool:
    pieces = [segment.payload(body)[len(exif.PREFIX) :] for segment in segments]
    return any(gps.has_location(block, budget) for block in (b"".join(pieces), *pieces))


def _drop(segment: Segment) -> Edit:
    return segment.start, segment.stop, b""


def _exif_edits(body: bytes, segments: list[Segment], budget: WalkBudget) -> list[Edit]:
    """Blank the location in EXIF: in all segments joined, and in each one.

    Some readers join several segments into one block, others read the first or the last.
    """
    pieces = [segment.payload(body)[len(exif.PREFIX) :] for segment in segments]
    stripped = _split(gps.strip(b"".join(pieces), budget), pieces)
    if len(segments) > 1:
        stripped = [gps.strip(piece, budget) for piece in stripped]
    return [
        (segment.data + len(exif.PREFIX), segment.data + segment.size, after)
        for segment, before, after in zip(segments, pieces, stripped, strict=True)
        if before != after
    ]


def _split(joined: bytes, like: list[bytes]) -> list[bytes]:
    pieces, at = [], 0
    for each in like:
        pieces.append(joined[at : at + len(each)])
        at += len(each)
    return pieces


def _xmp_edits(body: bytes, structure: ImageStructure) -> list[Edit]:
    """Drop a packet and its extensions together: a name may be split over extensions."""
    packets = _find(body, structure, _APP1, _XMP)
    extensions = _find(body, structure, _APP1, _XMP_EXTENSION)
    pieces = sorted(
        (segment.payload(body)[len(_XMP_EXTENSION) :], segment.payload(body)[_EXTENSION_HEADER:])
        for segment in extensions
    )
    joined = b"".join(piece for _, piece in pieces)
    if not any(xmp.has_location(text) for text in (joined, *(p.payload(body) for p in packets))):
        return []
    return [_drop(segment) for segment in (*packets, *extensions)]


def _photoshop_edits(body: bytes, structure: ImageStructure, budget: WalkBudget) -> list[Edit]:
    """Rewrite the image resources, which continue from segment to segment."""
    segments = _find(body, structure, _APP13, _PHOTOSHOP)
    resources = b"".join(segment.payload(body)[len(_PHOTOSHOP) :] for segment in segments)
    kept = iptc.strip(resources, budget)
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
        payload = _PHOTOSHOP + resources[at : at + capacity]
        segments += b"\xff" + _APP13 + (len(payload) + 2).to_bytes(2, "big") + payload
    return bytes(segments)

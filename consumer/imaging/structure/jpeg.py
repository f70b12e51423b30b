"""JPEG: reads the segments and scans (ITU T.81, annex B)."""

import re

from consumer.imaging.structure.image_structure import ImageStructure, Segment, append_bounded
from core.errors import CorruptImage, TooManyPixels, UnsupportedFormat

MAX_SCANS = 100
"""Each scan of a progressive JPEG passes over the whole image. Encoders write about ten."""

END_MARKER = b"\xff\xd9"
EXIF_LABEL = b"Exif\0"
"""Some readers require the next byte to be zero, others do not."""
_MAX_EXIF = 128
_MAX_PROFILE = 255
"""Segments of a colour profile: their number is one byte (ICC.1:2022, B.4)."""
_PROFILE_LABEL = b"ICC_PROFILE\0"
_APP1, _APP2 = b"\xe1", b"\xe2"

_COEFFICIENT_SIZE = 2
_COEFFICIENTS = 64
_SOI, _EOI, _TEM = 0xD8, 0xD9, 0x01
SOS = 0xDA
_DNL = 0xDC
FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
PROGRESSIVE = frozenset({0xC2, 0xCA})
_UNSUPPORTED = {
    **dict.fromkeys((0xC3, 0xCB), "lossless JPEG"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF, 0xDE), "hierarchical JPEG"),
    0xF7: "JPEG-LS",
}
"""Frame headers of processes that browsers do not decode; 0xF7 is that of ITU T.87."""
_NEXT_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
_FRAME_HEADER_MIN = 6
_SCAN_HEADER_MIN = 4
_LENGTH_SIZE = 2
_PRECISION = 8
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
"""By the number of components: how Pillow names the decoded image."""
_SIDE_MAX = 65_500
"""JPEG_MAX_DIMENSION of libjpeg-turbo, which browsers use too."""


def read_structure(body: bytes, *, accept_missing_end: bool = False) -> ImageStructure:
    """Read every segment up to the end marker of the first image, also those between scans.

    Further images (MPF, motion photos) are after the end.
    accept_missing_end: the image may end after its last scan.
    Raises CorruptImage without an end marker or a frame header, or if the scans do not give every coefficient.
    Raises it also for more EXIF or colour profile segments than any writer makes, because Pillow joins them one by one.
    Raises UnsupportedFormat for variants that browsers do not display, and TooManyPixels for more than MAX_SCANS scans.
    """
    segments: list[Segment] = []
    at, scans = 2, 0
    while True:
        match = _NEXT_MARKER.search(body, at)
        if match is None:
            if not (accept_missing_end and scans):
                raise CorruptImage("it has no end marker")
            return _to_structure(body, segments, end=len(body), missing_end=True)
        start, at = match.span()
        name, marker = match[1], body[at - 1]
        if marker == _EOI:
            return _to_structure(body, segments, end=at)
        if marker == _SOI:
            raise CorruptImage("another image begins inside it")
        if marker == _TEM:
            continue
        length = int.from_bytes(body[at : at + _LENGTH_SIZE], "big")
        stop = at + length
        if length < _LENGTH_SIZE or stop > len(body):
            raise CorruptImage("a segment is cut short")
        segment = Segment(name, start, stop, at + _LENGTH_SIZE, length - _LENGTH_SIZE)
        append_bounded(segments, segment)
        at = stop
        if marker == SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise TooManyPixels(f"more than {MAX_SCANS} scans")


def _to_structure(
    body: bytes, segments: list[Segment], end: int, *, missing_end: bool = False
) -> ImageStructure:
    markers = b"".join([segment.name for segment in segments])
    _check_process(markers)
    headers = [segment for segment in segments if segment.name[0] in FRAME_HEADERS]
    if len(headers) != 1 or headers[0].size < _FRAME_HEADER_MIN:
        raise CorruptImage("it does not have one frame header")
    _check_joined_segments(body, segments, markers)
    header = headers[0].payload(body)
    precision, components = header[0], header[5]
    height, width = int.from_bytes(header[1:3], "big"), int.from_bytes(header[3:5], "big")
    if precision != _PRECISION:
        raise UnsupportedFormat(f"JPEG with {precision} bits per channel")
    if components not in _MODES:
        raise UnsupportedFormat(f"JPEG with {components} components")
    if max(width, height) > _SIDE_MAX:
        raise UnsupportedFormat(f"JPEG with a side of more than {_SIDE_MAX:,} pixels")
    if height == 0 and _DNL in markers:
        raise UnsupportedFormat("JPEG with its height after the first scan")
    scans = [segment for segment in segments if segment.name[0] == SOS]
    _check_scans(body, scans, headers[0])
    return ImageStructure(
        width,
        height,
        frames=1,
        pixels=width * height,
        largest=width * height,
        end=end,
        segments=tuple(segments),
        layout=_MODES[components],
        passes=len(scans),
        buffer_bytes=_coefficient_bytes(body, scans, headers[0], width * height),
        mode=_MODES[components],
        missing_end=missing_end,
    )


def _check_process(markers: bytes) -> None:
    """Raise UnsupportedFormat for processes that browsers lack. After the first scan, damage may resemble one."""
    for marker in markers:
        if marker == SOS:
            return
        if marker in _UNSUPPORTED:
            raise UnsupportedFormat(_UNSUPPORTED[marker])


def _check_joined_segments(body: bytes, segments: list[Segment], markers: bytes) -> None:
    for name, label, most in (
        (_APP1, EXIF_LABEL, _MAX_EXIF),
        (_APP2, _PROFILE_LABEL, _MAX_PROFILE),
    ):
        if markers.count(name) <= most:
            continue
        if sum(each.name == name and body.startswith(label, each.data) for each in segments) > most:
            raise CorruptImage(f"metadata in more than {most} segments")


def _coefficient_bytes(body: bytes, scans: list[Segment], header: Segment, area: int) -> int:
    """Return the bytes of the coefficients that a decoder keeps until the last scan.

    It keeps them if the image is progressive, or if a scan does not hold all components.
    """
    components = body[header.data + _FRAME_HEADER_MIN - 1]
    if header.name[0] not in PROGRESSIVE and all(
        body[each.data] >= components for each in scans if each.size
    ):
        return 0
    # Each component has an identifier, its sampling factors in half a byte each, and the number of a table.
    factors = header.payload(body)[_FRAME_HEADER_MIN + 1 :: 3][:components]
    samples = [(each >> 4) * (each & 15) for each in factors]
    whole = max((each >> 4 for each in factors), default=1) * max(
        (each & 15 for each in factors), default=1
    )
    return area * _COEFFICIENT_SIZE * sum(samples) // max(whole, 1)


def _check_scans(body: bytes, scans: list[Segment], header: Segment) -> None:
    """Raise CorruptImage if a component has no scan.

    Raises it also if a coefficient of a progressive image has no scan, or its lowest bit has none (T.81, G.1.1.1). A
    decoder shows such an image without details, and does not report that its last scans are missing.
    """
    progressive = header.name[0] in PROGRESSIVE
    components = header.payload(body)[_FRAME_HEADER_MIN::3]
    checked = range(_COEFFICIENTS if progressive else 1)
    missing = {(each, at) for each in components for at in checked}
    for segment in scans:
        if not missing:
            return
        scan = segment.payload(body)
        if len(scan) < _SCAN_HEADER_MIN or len(scan) != 2 * scan[0] + _SCAN_HEADER_MIN:
            raise CorruptImage("a scan header is damaged")
        first, last, bits = scan[-3:] if progressive else (0, _COEFFICIENTS - 1, 0)
        if bits & 0xF:
            continue
        inside = scan[1:-3:2]
        missing = {
            (each, at) for each, at in missing if each not in inside or not first <= at <= last
        }
    if missing:
        raise CorruptImage("it lacks a scan")

"""JPEG: reads the segments and scans (ITU T.81, annex B)."""

import re

from consumer.imaging.structure.image_structure import ImageStructure, Segment, append_bounded
from core.errors import CorruptImage, TooManyPixels

MAX_SCANS = 100
"""Each scan of a progressive JPEG passes over the whole image. Encoders write about ten."""

EXIF_LABEL = b"Exif\0"
"""Some readers require the next byte to be zero, others do not."""
_MAX_EXIF = 128
_MAX_PROFILE = 255
"""Segments of a colour profile: their number is one byte (ICC.1:2022, B.4)."""
_PROFILE_LABEL = b"ICC_PROFILE\0"
_APP1, _APP2 = b"\xe1", b"\xe2"

_COEFFICIENT_SIZE = 2
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_FRAME_HEADER_MIN = 6
_LENGTH_SIZE = 2


def read_structure(body: bytes) -> ImageStructure:
    """Read every segment up to the end marker of the first image, also those between scans.

    Further images (MPF, motion photos) are after the end. Raises CorruptImage without an end marker or a frame header.
    Raises it also for more EXIF or colour profile segments than any writer makes, because Pillow joins them one by one.
    Raises TooManyPixels for more than MAX_SCANS scans.
    """
    segments: list[Segment] = []
    at, scans = 2, 0
    while True:
        match = _NEXT_MARKER.search(body, at)
        if match is None:
            raise CorruptImage("it has no end marker")
        marker, at = body[match.end() - 1], match.end()
        if marker == _EOI:
            return _to_structure(body, segments, end=at)
        if marker in (_SOI, _TEM):
            continue
        segment = _read_segment(body, marker, match.start(), at)
        append_bounded(segments, segment)
        at = segment.stop
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise TooManyPixels(f"more than {MAX_SCANS} scans")


def _read_segment(body: bytes, marker: int, start: int, at: int) -> Segment:
    length = int.from_bytes(body[at : at + 2], "big")
    if length < _LENGTH_SIZE or at + length > len(body):
        raise CorruptImage("a segment is cut short")
    return Segment(bytes((marker,)), start, at + length, at + _LENGTH_SIZE, length - _LENGTH_SIZE)


def _to_structure(body: bytes, segments: list[Segment], end: int) -> ImageStructure:
    headers = [segment for segment in segments if segment.name[0] in _FRAME_HEADERS]
    if len(headers) != 1 or headers[0].size < _FRAME_HEADER_MIN:
        raise CorruptImage("it does not have one frame header")
    _check_joined_segments(body, segments)
    header = headers[0].payload(body)
    height, width = int.from_bytes(header[1:3], "big"), int.from_bytes(header[3:5], "big")
    return ImageStructure(
        width,
        height,
        frames=1,
        pixels=width * height,
        largest=width * height,
        end=end,
        segments=tuple(segments),
        coefficients=_coefficients(body, segments, headers[0]),
    )


def _check_joined_segments(body: bytes, segments: list[Segment]) -> None:
    for name, label, most in (
        (_APP1, EXIF_LABEL, _MAX_EXIF),
        (_APP2, _PROFILE_LABEL, _MAX_PROFILE),
    ):
        if sum(each.name == name and body.startswith(label, each.data) for each in segments) > most:
            raise CorruptImage(f"metadata in more than {most} segments")


def _coefficients(body: bytes, segments: list[Segment], header: Segment) -> int:
    """Return the bytes per pixel, without subsampling, that a decoder keeps until the last scan.

    It keeps them if the image is progressive, or if a scan does not hold all components.
    """
    components = body[header.data + _FRAME_HEADER_MIN - 1]
    scans = (body[each.data] for each in segments if each.name[0] == _SOS and each.size)
    buffered = header.name[0] in _PROGRESSIVE or any(scan < components for scan in scans)
    return components * _COEFFICIENT_SIZE if buffered else 0

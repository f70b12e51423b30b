"""JPEG: markers and scans (ITU T.81, annex B)."""

import re

from consumer.imaging.structure.segments import Layout, Part, append
from core.errors import CorruptImage, TooManyPixels

MAX_SCANS = 100
"""Each scan of a progressive picture passes over all of it; encoders write about ten."""

EXIF_LABEL = b"Exif\0"
"""Readers differ on whether the byte that follows must be zero."""
_MAX_EXIF = 128
_MAX_PROFILE = 255
"""Parts of a colour profile: their number is one byte (ICC.1:2022, B.4)."""
_PROFILE_LABEL = b"ICC_PROFILE\0"
_APP1, _APP2 = b"\xe1", b"\xe2"

_COEFFICIENT_SIZE = 2
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01
_RESTARTS = range(0xD0, 0xD8)
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_FRAME_HEADER_MIN = 6
_LENGTH_SIZE = 2


def read(body: bytes) -> Layout:
    """Every segment up to the end marker of the first picture, those between scans included.

    Pictures that follow (MPF, motion photos) are after the end. Raises CorruptImage without an
    end marker or a frame header, and for more segments of EXIF or of a colour profile than any
    writer makes, which Pillow joins one by one; TooManyPixels for more than MAX_SCANS scans.
    """
    parts: list[Part] = []
    at, scans = 2, 0
    while True:
        found = _NEXT_MARKER.search(body, at)
        if found is None:
            raise CorruptImage("it has no end marker")
        marker, at = body[found.end() - 1], found.end()
        if marker == _EOI:
            return _layout(body, parts, end=at)
        if marker in (_SOI, _TEM):
            continue
        part = _segment(body, marker, found.start(), at)
        append(parts, part)
        at = part.stop
        if marker == _SOS:
            scans += 1
            if scans > MAX_SCANS:
                raise TooManyPixels(f"more than {MAX_SCANS} scans")


def _segment(body: bytes, marker: int, start: int, at: int) -> Part:
    length = int.from_bytes(body[at : at + 2], "big")
    if length < _LENGTH_SIZE or at + length > len(body):
        raise CorruptImage("a segment is cut short")
    return Part(bytes((marker,)), start, at + length, at + _LENGTH_SIZE, length - _LENGTH_SIZE)


def _layout(body: bytes, parts: list[Part], end: int) -> Layout:
    headers = [part for part in parts if part.name[0] in _FRAME_HEADERS]
    if len(headers) != 1 or headers[0].size < _FRAME_HEADER_MIN:
        raise CorruptImage("it does not have one frame header")
    _check_joined(body, parts)
    header = headers[0].payload(body)
    height, width = int.from_bytes(header[1:3], "big"), int.from_bytes(header[3:5], "big")
    return Layout(
        width,
        height,
        frames=1,
        pixels=width * height,
        largest=width * height,
        end=end,
        parts=tuple(parts),
        coefficients=_coefficients(body, parts, headers[0]),
    )


def _check_joined(body: bytes, parts: list[Part]) -> None:
    for name, label, most in (
        (_APP1, EXIF_LABEL, _MAX_EXIF),
        (_APP2, _PROFILE_LABEL, _MAX_PROFILE),
    ):
        if sum(part.name == name and body.startswith(label, part.data) for part in parts) > most:
            raise CorruptImage(f"metadata in more than {most} segments")


def _coefficients(body: bytes, parts: list[Part], header: Part) -> int:
    """Bytes a pixel, without subsampling. A decoder keeps them where no scan holds all components."""
    components = body[header.data + _FRAME_HEADER_MIN - 1]
    scans = (body[part.data] for part in parts if part.name[0] == _SOS and part.size)
    buffered = header.name[0] in _PROGRESSIVE or any(scan < components for scan in scans)
    return components * _COEFFICIENT_SIZE if buffered else 0

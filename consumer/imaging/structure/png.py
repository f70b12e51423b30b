"""PNG and APNG: chunks (PNG specification, third edition, sections 5 and 11)."""

from consumer.imaging.structure.segments import Layout, Part, append
from core.errors import CorruptImage

SIGNATURE_SIZE = 8
_HEADER_SIZE = 13
_FRAME = 12
"""Bytes of a chunk beside its payload: length, type and checksum."""


def read(body: bytes) -> Layout:
    """Raises CorruptImage unless there is one header, in front, and an end chunk.

    More than one EXIF chunk is CorruptImage as well (section 11.3.4.5 allows one).
    """
    parts: list[Part] = []
    at = SIGNATURE_SIZE
    while True:
        size, name = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        stop = at + _FRAME + size
        if stop > len(body):
            raise CorruptImage("a chunk is cut short")
        append(parts, Part(name, at, stop, at + 8, size))
        at = stop
        if name == b"IEND":
            return _layout(body, parts, end=at)


def _layout(body: bytes, parts: list[Part], end: int) -> Layout:
    names = [part.name for part in parts]
    if names[0] != b"IHDR" or names.count(b"IHDR") != 1 or parts[0].size != _HEADER_SIZE:
        raise CorruptImage("it does not begin with one header")
    if names.count(b"eXIf") > 1:
        raise CorruptImage("it has more than one EXIF chunk")
    header = parts[0].payload(body)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    frames = _frames(body, parts, names)
    area = width * height
    return Layout(width, height, frames, frames * area, area, end, tuple(parts))


def _frames(body: bytes, parts: list[Part], names: list[bytes]) -> int:
    """The still picture counts where the animation does not use it (its data precedes fcTL)."""
    if b"acTL" not in names:
        return 1
    controls = [part for part in parts if part.name == b"acTL"]
    if len(controls) != 1 or controls[0].size < _FRAME - 4:
        raise CorruptImage("its animation header is damaged")
    declared = int.from_bytes(controls[0].payload(body)[:4], "big")
    if declared == 0 or b"IDAT" not in names or names.index(b"acTL") > names.index(b"IDAT"):
        return 1
    first_frame = names.index(b"fcTL") if b"fcTL" in names else len(names)
    return declared + (names.index(b"IDAT") < first_frame)

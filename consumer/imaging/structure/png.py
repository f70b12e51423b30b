"""PNG and APNG: reads the chunks (PNG specification, third edition, sections 5 and 11)."""

from consumer.imaging.structure.image_structure import (
    ImageStructure,
    Segment,
    append_bounded,
    shown_ms,
)
from core.errors import CorruptImage

_SIGNATURE_SIZE = 8
_HEADER_SIZE = 13
_CHUNK_OVERHEAD = 12
"""Bytes of a chunk beside its payload: length, type and checksum."""
_ACTL_SIZE = 8
_FCTL_DELAY = 20
_FCTL_DEFAULT_DENOMINATOR = 100


def read_structure(body: bytes) -> ImageStructure:
    """Raise CorruptImage unless the image begins with its only header and has an end chunk.

    More than one EXIF chunk is CorruptImage as well (section 11.3.4.5 allows one).
    """
    chunks: list[Segment] = []
    at = _SIGNATURE_SIZE
    while True:
        size, name = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        stop = at + _CHUNK_OVERHEAD + size
        if stop > len(body):
            raise CorruptImage("a chunk is cut short")
        append_bounded(chunks, Segment(name, at, stop, at + 8, size))
        at = stop
        if name == b"IEND":
            return _to_structure(body, chunks, end=at)


def _to_structure(body: bytes, chunks: list[Segment], end: int) -> ImageStructure:
    names = [chunk.name for chunk in chunks]
    if names[0] != b"IHDR" or names.count(b"IHDR") != 1 or chunks[0].size != _HEADER_SIZE:
        raise CorruptImage("it does not begin with one header")
    if names.count(b"eXIf") > 1:
        raise CorruptImage("it has more than one EXIF chunk")
    header = chunks[0].payload(body)
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    frames = _frames(body, chunks, names)
    area = width * height
    return ImageStructure(
        width,
        height,
        frames,
        frames * area,
        area,
        end,
        tuple(chunks),
        duration_ms=_duration_ms(body, chunks),
    )


def _frames(body: bytes, chunks: list[Segment], names: list[bytes]) -> int:
    """Count frames. The still image adds one if its data precedes fcTL: the animation skips it then."""
    if b"acTL" not in names:
        return 1
    controls = [chunk for chunk in chunks if chunk.name == b"acTL"]
    if len(controls) != 1 or controls[0].size < _ACTL_SIZE:
        raise CorruptImage("its animation header is damaged")
    declared = int.from_bytes(controls[0].payload(body)[:4], "big")
    if declared == 0 or b"IDAT" not in names or names.index(b"acTL") > names.index(b"IDAT"):
        return 1
    first_frame = names.index(b"fcTL") if b"fcTL" in names else len(names)
    return declared + (names.index(b"IDAT") < first_frame)


def _duration_ms(body: bytes, chunks: list[Segment]) -> int:
    """Sum the delays of the frame controls: fractions of a second, whose denominator 0 means 100."""
    total = 0.0
    for chunk in chunks:
        if chunk.name == b"fcTL":
            delay = chunk.payload(body)[_FCTL_DELAY : _FCTL_DELAY + 4]
            numerator, denominator = (
                int.from_bytes(delay[:2], "big"),
                int.from_bytes(delay[2:], "big"),
            )
            total += shown_ms(1000 * numerator / (denominator or _FCTL_DEFAULT_DENOMINATOR))
    return round(total)

"""WebP: reads the RIFF chunks (RFC 9649)."""

from consumer.imaging.structure.image_structure import (
    ImageStructure,
    Segment,
    append_bounded,
    shown_ms,
)
from core.errors import CorruptImage

_RIFF_HEADER_SIZE = 12
_DIMENSION_BITS = 0x3FFF
_DELAY = slice(12, 15)
"""Of an ANMF chunk (RFC 9649, section 2.7.1.1)."""


def read_structure(body: bytes) -> ImageStructure:
    """Raise CorruptImage if the body is shorter than its RIFF size, or a chunk reaches past the end."""
    end = 8 + int.from_bytes(body[4:8], "little")
    if end > len(body):
        raise CorruptImage("it is shorter than it says")
    chunks: list[Segment] = []
    at = _RIFF_HEADER_SIZE
    while at + 8 <= end:
        size = int.from_bytes(body[at + 4 : at + 8], "little")
        if at + 8 + size > end:
            raise CorruptImage("a chunk is cut short")
        # Some writers leave out the padding byte of the last chunk.
        stop = min(at + 8 + size + (size & 1), end)
        append_bounded(chunks, Segment(body[at : at + 4], at, stop, at + 8, size))
        at = stop
    if not chunks:
        raise CorruptImage("it has no chunk")
    width, height = _canvas(chunks[0].name, chunks[0].payload(body)[:10])
    delays = [_delay_ms(body, chunk) for chunk in chunks if chunk.name == b"ANMF"]
    frames = max(1, len(delays))
    area = width * height
    return ImageStructure(
        width,
        height,
        frames,
        frames * area,
        area,
        end,
        tuple(chunks),
        layout=_layout(chunks),
        duration_ms=round(sum(map(shown_ms, delays))),
    )


def _layout(chunks: list[Segment]) -> str:
    """A decoder of lossy images keeps the plane of a separate alpha channel."""
    names = {chunk.name for chunk in chunks}
    return "lossy with alpha" if names & {b"ALPH", b"ANMF"} else "lossy or lossless"


def _delay_ms(body: bytes, frame: Segment) -> int:
    return int.from_bytes(frame.payload(body)[_DELAY], "little")


def _canvas(name: bytes, head: bytes) -> tuple[int, int]:
    """Read the size: lossy, lossless or extended (RFC 9649, sections 2.5 to 2.7)."""
    if name == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if name == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & _DIMENSION_BITS), 1 + (bits >> 14 & _DIMENSION_BITS)
    width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    return width & _DIMENSION_BITS, height & _DIMENSION_BITS

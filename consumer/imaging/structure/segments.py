"""What the bytes of a file say about its shape, before any decoder is let near them."""

from dataclasses import dataclass

from core.errors import CorruptImage

MAX_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """A segment, chunk or box. Offsets are in bytes from the start of the file.

    start and stop: the whole part with its header and padding. data and size: its payload.
    """

    name: bytes
    start: int
    stop: int
    data: int
    size: int

    def payload(self, body: bytes) -> bytes:
        return body[self.data : self.data + self.size]


@dataclass(frozen=True, slots=True)
class Layout:
    """width, height: pixels as stored, before any orientation.

    frames: at least 1. pixels: the sum over all frames. largest: pixels of the largest frame, or
    of the largest tile where that is more. end: offset of the first byte after the picture.
    coefficients: bytes for each pixel in which a decoder keeps the coefficients of the whole picture
    at once, 0 where it does not (JPEG of several scans).
    exif: the EXIF block, where finding the shape has already met it.
    """

    width: int
    height: int
    frames: int
    pixels: int
    largest: int
    end: int
    parts: tuple[Part, ...] = ()
    coefficients: int = 0
    exif: bytes = b""


def still(width: int, height: int, end: int, parts: list[Part]) -> Layout:
    area = width * height
    return Layout(width, height, 1, area, area, end, tuple(parts))


def append(parts: list[Part], part: Part) -> None:
    """Bounded, for a part may be as short as four bytes and a body millions of them long."""
    if len(parts) >= MAX_PARTS:
        raise CorruptImage(f"more than {MAX_PARTS:,} parts")
    parts.append(part)

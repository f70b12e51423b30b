"""The structure of an image, which every reader returns."""

from dataclasses import dataclass
from typing import NamedTuple

from core.errors import CorruptImage

MAX_SEGMENTS = 100_000
_ZERO_DELAY_MS = 100


class Segment(NamedTuple):
    """A segment (JPEG) or chunk (PNG, WebP). Offsets are in bytes from the start of the file.

    start and stop: the whole segment with its header and padding. data and size: its payload.
    """

    name: bytes
    start: int
    stop: int
    data: int
    size: int

    def payload(self, body: bytes) -> bytes:
        return body[self.data : self.data + self.size]


@dataclass(frozen=True, slots=True)
class ImageStructure:
    """width, height: pixels as stored, before any orientation.

    frames: at least 1.
    pixels: the sum over all frames.
    largest: pixels of the largest frame, or of the largest tile if that is more.
    end: offset of the first byte after the image.
    segments: for formats whose metadata can be removed.
    layout: how the pixels are coded and decoded, as far as the memory of the decoder depends on it.
        A key of `limits.BYTES_PER_PIXEL`.
    buffer_bytes: what the decoder holds beside the pixels: the coefficients of a JPEG of several scans,
        the largest strip or tile of a TIFF.
    coded_bytes: of the pixels as the body has them, if the format has no segments.
    exif: the EXIF block, if reading the structure has found it.
    passes: how often a decoder passes over all pixels: the scans of a JPEG.
    hidden_frames: frames that a decoder decodes and does not show. `pixels` includes them.
    duration_ms: the sum of the frames' delays, see `shown_ms`.
    mode: Pillow's name of the decoded pixel format, if the header tells it (JPEG, PNG).
    missing_end: the image has no end marker, and the policy accepts this.
    """

    width: int
    height: int
    frames: int
    pixels: int
    largest: int
    end: int
    segments: tuple[Segment, ...] = ()
    layout: str = ""
    buffer_bytes: int = 0
    coded_bytes: int = 0
    passes: int = 1
    exif: bytes = b""
    hidden_frames: int = 0
    duration_ms: int = 0
    mode: str = ""
    missing_end: bool = False


def shown_ms(delay_ms: float) -> float:
    """Return how long a frame is shown. Browsers show one with a delay of zero for 100 ms, in every format."""
    return delay_ms or _ZERO_DELAY_MS


def append_bounded(segments: list[Segment], segment: Segment) -> None:
    """Append a segment. Raises CorruptImage beyond MAX_SEGMENTS.

    A segment may be as short as four bytes, and a body millions of bytes long.
    """
    if len(segments) >= MAX_SEGMENTS:
        raise CorruptImage(f"more than {MAX_SEGMENTS:,} segments")
    segments.append(segment)

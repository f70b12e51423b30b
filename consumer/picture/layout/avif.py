"""AVIF: boxes (ISO/IEC 14496-12), then what libavif reads of them without decoding a pixel."""

from consumer.picture.decoder import decoder_faults, opened
from consumer.picture.formats import AVIF
from consumer.picture.layout.parts import MAX_PARTS, Layout
from core.errors import CorruptImage

_BOX_HEADER, _LARGE_BOX_HEADER = 8, 16


def read(body: bytes) -> Layout:
    """Raises CorruptImage where a box reaches past the end, or libavif refuses the header.

    The dimensions are those of the container. A coded picture that is larger than its container
    says is refused by libavif only when it is decoded, at 16,384 x 16,384 pixels at the latest.
    """
    _check_boxes(body)
    with decoder_faults(), opened(AVIF, body) as image:
        width, height = image.size
        frames = int(getattr(image, "n_frames", 1))
        exif = bytes(image.info.get("exif", b""))
    area = width * height
    return Layout(width, height, frames, frames * area, area, len(body), exif=exif)


def _check_boxes(body: bytes) -> None:
    at = 0
    for _ in range(MAX_PARTS):
        if at == len(body):
            return
        size = _box_size(body, at)
        if size == 0:
            return
        if size < _BOX_HEADER or at + size > len(body):
            raise CorruptImage("a box is cut short")
        at += size
    raise CorruptImage(f"more than {MAX_PARTS:,} boxes")


def _box_size(body: bytes, at: int) -> int:
    """In bytes; 0 for a box that reaches to the end of the file."""
    size = int.from_bytes(body[at : at + 4], "big")
    if size != 1:
        return size
    return int.from_bytes(body[at + _BOX_HEADER : at + _LARGE_BOX_HEADER], "big")

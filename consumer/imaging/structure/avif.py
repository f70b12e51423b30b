"""AVIF: boxes, what libavif reads of them, and the size in which the pictures are coded."""

from collections.abc import Iterator

from consumer.imaging.formats import AVIF
from consumer.imaging.pillow import decoder_faults, opened
from consumer.imaging.structure import av1
from consumer.imaging.structure.isobmff import Extents, boxes, coded_items, coded_samples
from consumer.imaging.structure.segments import MAX_PARTS, Layout
from core.errors import CorruptImage

_PLANES = 3
"""Items that make up one picture, each of its size: colour, alpha and a gain map."""


def read(body: bytes) -> Layout:
    """Raises CorruptImage where a box reaches past the end, or libavif refuses the header.

    The dimensions are those of the container. The pixels are those of the AV1 sequence headers
    where these are larger, for a decoder takes memory for what is coded. A frame may override its
    sequence header; that is not looked for, and libavif refuses it at 16,384 x 16,384 pixels.
    """
    top = list(boxes(body, 0, len(body)))
    with decoder_faults(), opened(AVIF, body) as image:
        width, height = image.size
        frames = int(getattr(image, "n_frames", 1))
        exif = bytes(image.info.get("exif", b""))
    items = [extents for box in top if box.name == b"meta" for extents in coded_items(body, box)]
    samples = [
        extents for box in top if box.name == b"moov" for extents in coded_samples(body, box)
    ]
    in_items = list(_areas(body, items))
    largest = max((width * height, *in_items, *_areas(body, samples)))
    pixels = max(frames * largest, sum(in_items) // _PLANES)
    return Layout(width, height, frames, pixels, largest, len(body), exif=exif)


def _areas(body: bytes, coded: list[Extents]) -> Iterator[int]:
    """Pixels of a frame by each sequence header. Raises CorruptImage for data read twice over."""
    left, walked = 2 * len(body), 0
    for extents in coded:
        left -= sum(size for _, size in extents)
        if left < 0 or any(at < 0 or size < 0 or at + size > len(body) for at, size in extents):
            raise CorruptImage("its coded picture is cut short")
        for kind, payload in av1.units(b"".join(body[at : at + size] for at, size in extents)):
            walked += 1
            if walked > MAX_PARTS:
                raise CorruptImage(f"more than {MAX_PARTS:,} units in a coded picture")
            if kind == av1.SEQUENCE_HEADER:
                width, height = av1.largest_frame(payload)
                yield width * height

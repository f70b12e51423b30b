"""AVIF: reads the boxes, the header by libavif, and the size at which the images are coded."""

from collections.abc import Iterator

from consumer.imaging.formats import AVIF
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.structure import av1
from consumer.imaging.structure.image_structure import MAX_SEGMENTS, ImageStructure
from consumer.imaging.structure.isobmff import Extents, av1_items, av1_samples, iter_boxes
from core.errors import CorruptImage

_PLANES = 3
"""Items of one image, each of the same size: colour, alpha and a gain map."""


def read_structure(body: bytes) -> ImageStructure:
    """Raise CorruptImage if a box reaches past the end, or if libavif rejects the header.

    Width and height are those of the container. The pixels are those of the AV1 sequence headers if
    these are larger, because a decoder allocates the coded size. A frame may override its sequence
    header; this function does not look for it, and libavif rejects it above 16,384 x 16,384 pixels.
    """
    top = list(iter_boxes(body, 0, len(body)))
    with translate_decoder_errors(), open_image(AVIF, body) as image:
        width, height = image.size
        frames = int(getattr(image, "n_frames", 1))
        exif = bytes(image.info.get("exif", b""))
    items = [extents for box in top if box.name == b"meta" for extents in av1_items(body, box)]
    samples = [extents for box in top if box.name == b"moov" for extents in av1_samples(body, box)]
    item_areas = list(_areas(body, items))
    largest = max((width * height, *item_areas, *_areas(body, samples)))
    pixels = max(frames * largest, sum(item_areas) // _PLANES)
    return ImageStructure(width, height, frames, pixels, largest, len(body), exif=exif)


def _areas(body: bytes, coded: list[Extents]) -> Iterator[int]:
    """Yield the frame area in pixels of each sequence header.

    Raises CorruptImage if items overlap so often that more than twice the body would be read.
    """
    left, walked = 2 * len(body), 0
    for extents in coded:
        left -= sum(size for _, size in extents)
        if left < 0 or any(at < 0 or size < 0 or at + size > len(body) for at, size in extents):
            raise CorruptImage("its coded image is cut short")
        for obu_type, payload in av1.iter_obus(
            b"".join(body[at : at + size] for at, size in extents)
        ):
            walked += 1
            if walked > MAX_SEGMENTS:
                raise CorruptImage(f"more than {MAX_SEGMENTS:,} units in a coded image")
            if obu_type == av1.SEQUENCE_HEADER:
                width, height = av1.max_frame_size(payload)
                yield width * height

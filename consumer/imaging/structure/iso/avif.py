"""AVIF: reads the boxes, the header by libavif, and the size at which the images are coded."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from consumer.imaging.formats import AVIF
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.structure.image_structure import MAX_SEGMENTS, ImageStructure
from consumer.imaging.structure.iso import av1
from consumer.imaging.structure.iso.boxes import Box, Extents, IsoFile, image_end, iter_boxes
from consumer.imaging.structure.iso.items import iter_items
from consumer.imaging.structure.iso.tracks import av1_duration_ms, av1_samples
from core.errors import CorruptImage

_AV1 = b"av01"
_IMAGES = 3
"""Items of one image, each of the same size: colour, alpha and a gain map."""
_HEADERS_MAX = 256
"""Different sequence headers of a file. All images of a sequence have one or two."""
_BYTE = 8
_CHROMA = {0: "4:0:0", 0.5: "4:2:0", 1: "4:2:2", 2: "4:4:4"}
_BLOCK_SIDE = 128
_SEQUENCE_BYTES = 3.5
"""Per pixel: motion vectors, and Pillow's image while the decoder still has the frame."""
_REFERENCES = 8
"""Frames that a decoder keeps beside the one that it shows (AV1 specification, section 7.20)."""


def read_structure(body: bytes) -> ImageStructure:
    """Read the image without the trailer behind its last box.

    Raises CorruptImage if a box or a coded image is cut short, or if libavif rejects the header.

    Width and height are those of the container. The pixels are those of the AV1 sequence headers if
    these are larger, because a decoder allocates the coded size. A frame may override its sequence
    header; this function does not look for it, and libavif rejects it above 16,384 x 16,384 pixels.
    An item or a sample may hold more frames than the one that it shows. They are hidden frames.
    """
    body = body[: image_end(body)]
    file = IsoFile(body)
    top = list(iter_boxes(file, 0, len(body)))
    with translate_decoder_errors(), open_image(AVIF, body) as image:
        width, height, mode = *image.size, image.mode
        frames = int(getattr(image, "n_frames", 1))
        exif = bytes(image.info.get("exif", b""))
    items = list(_iter_coded_items(file, top))
    samples = [extents for box in top if box.name == b"moov" for extents in av1_samples(file, box)]
    coded = list(_coded_images(body, items + samples))
    largest = max((width * height, *(each.area for each in coded)))
    hidden = _hidden_frames(coded[: len(items)], coded[len(items) :])
    item_pixels = sum(each.area for each in coded[: len(items)]) // _IMAGES
    pixels = max(frames * largest, item_pixels) + hidden * largest
    duration_ms = max((av1_duration_ms(file, box) for box in top if box.name == b"moov"), default=0)
    return ImageStructure(
        width,
        height,
        frames,
        pixels,
        largest,
        len(body),
        layout=_layout(coded, alpha=mode == "RGBA"),
        buffer_bytes=_buffer_bytes(coded, frames + hidden, width * height, alpha=mode == "RGBA"),
        coded_bytes=sum(size for extents in items + samples for _, size in extents),
        exif=exif,
        hidden_frames=hidden,
        duration_ms=duration_ms,
    )


def _iter_coded_items(file: IsoFile, top: Iterable[Box]) -> Iterator[Extents]:
    for box in top:
        if box.name == b"meta":
            yield from (item.extents for item in iter_items(file, box) if item.type == _AV1)


class _CodedImage(NamedTuple):
    """An item or a sample.

    area: pixels of the largest of its sequence headers, 0 without one.
    padded_area: as the decoder allocates it.
    chroma: samples of the chroma planes per pixel, the most of its sequence headers.
    depth: bits of a sample, likewise.
    frames: frame headers, each of which makes a decoder decode or show a frame.
    repeats: whether it only shows a frame of an earlier sample.
    """

    area: int
    padded_area: int
    chroma: float
    depth: int
    frames: int
    repeats: bool


def _pad(side: int) -> int:
    """Round up to a multiple of the largest block."""
    return -(-side // _BLOCK_SIDE) * _BLOCK_SIDE


def _layout(coded: list[_CodedImage], *, alpha: bool) -> str:
    """Describe the planes. Alpha and gain map have no chroma, so that the most of all items is that of the colour."""
    depth = "8 bits" if max((each.depth for each in coded), default=0) <= _BYTE else "10 or 12 bits"
    chroma = _CHROMA[max((each.chroma for each in coded), default=0)]
    return f"{chroma}, {depth}{', alpha' * alpha}"


def _buffer_bytes(coded: list[_CodedImage], frames: int, shown: int, *, alpha: bool) -> int:
    """Return the bytes of padding, and of further planes: those of a tile, or of the last frames of a sequence."""
    area = max((each.area for each in coded), default=shown)
    padded = max((each.padded_area for each in coded), default=shown)
    planes = 1 + alpha + max((each.chroma for each in coded), default=0)
    planes *= 1 if max((each.depth for each in coded), default=0) <= _BYTE else 2
    if frames > 1:
        return round(padded * (planes * min(frames - 1, _REFERENCES) + _SEQUENCE_BYTES))
    return round(planes * (padded if area < shown else padded - area))


def _hidden_frames(items: list[_CodedImage], samples: list[_CodedImage]) -> int:
    """Return the number of frames beside one for each item and each sample.

    An encoder may put a frame into one sample, hidden, and show it by a later sample, which has no frame of its own.
    """
    in_items = sum(max(0, each.frames - 1) for each in items)
    in_samples = sum(each.frames - each.repeats for each in samples)
    return in_items + max(0, in_samples - len(samples))


def _coded_images(body: bytes, coded: list[Extents]) -> Iterator[_CodedImage]:
    """Read each item or sample.

    Raises CorruptImage if items overlap so often that more than twice the body would be read.
    """
    left, walked = 2 * len(body), 0
    read_header = cache(av1.read_sequence_header)
    for extents in coded:
        left -= sum(size for _, size in extents)
        if left < 0 or any(at < 0 or size < 0 or at + size > len(body) for at, size in extents):
            raise CorruptImage("its coded image is cut short")
        headers: list[av1.SequenceHeader] = []
        frames = repeats = 0
        for obu_type, payload in av1.iter_obus(
            b"".join(body[at : at + size] for at, size in extents)
        ):
            walked += 1
            if walked > MAX_SEGMENTS:
                raise CorruptImage(f"more than {MAX_SEGMENTS:,} units in a coded image")
            if obu_type == av1.SEQUENCE_HEADER:
                headers.append(read_header(payload[: av1.SEQUENCE_HEADER_MAX]))
                if read_header.cache_info().misses > _HEADERS_MAX:
                    raise CorruptImage(f"more than {_HEADERS_MAX} sequence headers")
            elif obu_type in {av1.FRAME, av1.FRAME_HEADER}:
                frames += 1
                repeats += obu_type == av1.FRAME_HEADER and av1.shows_existing_frame(payload)
        yield _CodedImage(
            area=max((each.width * each.height for each in headers), default=0),
            padded_area=max((_pad(each.width) * _pad(each.height) for each in headers), default=0),
            chroma=max((each.chroma for each in headers), default=0),
            depth=max((each.depth for each in headers), default=0),
            frames=frames,
            repeats=frames == repeats == 1,
        )

"""Reads the structure of an image (size, frames, segments) before any decoder runs."""

from collections.abc import Callable

from consumer.imaging import formats
from consumer.imaging.formats import Format
from consumer.imaging.ifd import MAX_DIRECTORIES
from consumer.imaging.structure import bmp, gif, jpeg, png, tiff, webp
from consumer.imaging.structure.image_structure import ImageStructure, Segment
from consumer.imaging.structure.iso import avif, heic

__all__ = ["READERS", "ImageStructure", "Segment", "read_structure"]

READERS: dict[Format, Callable[[bytes], ImageStructure]] = {
    formats.JPEG: jpeg.read_structure,
    formats.PNG: png.read_structure,
    formats.GIF: gif.read_structure,
    formats.WEBP: webp.read_structure,
    formats.AVIF: avif.read_structure,
    formats.HEIC: heic.read_structure,
    formats.TIFF: tiff.read_structure,
    formats.BMP: bmp.read_structure,
}


def read_structure(
    image_format: Format,
    body: bytes,
    max_frames: int = MAX_DIRECTORIES,
    *,
    accept_missing_end: bool = False,
) -> ImageStructure:
    """Walk `body` from its first byte to its last. See the reader of each format.

    max_frames: where the walk over the directories of a TIFF stops, because it takes long.
    accept_missing_end: whether a JPEG or PNG may lack its end marker.
    """
    if image_format is formats.JPEG:
        return jpeg.read_structure(body, accept_missing_end=accept_missing_end)
    if image_format is formats.PNG:
        return png.read_structure(body, accept_missing_end=accept_missing_end)
    if image_format is formats.TIFF:
        return tiff.read_structure(body, max_frames)
    return READERS[image_format](body)

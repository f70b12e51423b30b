from collections.abc import Callable

from consumer.imaging import formats
from consumer.imaging.formats import Format
from consumer.imaging.ifd import MAX_DIRECTORIES
from consumer.imaging.structure import avif, bmp, gif, jpeg, png, tiff, webp
from consumer.imaging.structure.segments import Layout, Part

__all__ = ["Layout", "Part", "read"]

_READERS: dict[Format, Callable[[bytes], Layout]] = {
    formats.JPEG: jpeg.read,
    formats.PNG: png.read,
    formats.GIF: gif.read,
    formats.WEBP: webp.read,
    formats.AVIF: avif.read,
    formats.BMP: bmp.read,
}


def read(kind: Format, body: bytes, max_frames: int = MAX_DIRECTORIES) -> Layout:
    """The shape of `body`, walked from its first byte to its last; see each format's reader.

    max_frames: where directories end to be walked, for those of a TIFF take long.
    """
    if kind == formats.TIFF:
        return tiff.read(body, max_frames)
    return _READERS[kind](body)

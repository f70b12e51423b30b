"""Decodes the frames of a GIF after the first, each alone.

Pillow draws each frame on a canvas of 4 bytes per pixel and keeps up to four of these. So many small frames on a large
canvas would take long. Only the first frame is looked at; the others need only to be whole.
"""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image, ImageFile

from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.gif import IMAGE, color_table_size, read_structure
from core.errors import TooManyPixels

_DESCRIPTOR_SIZE = 9
_FLAGS = 8
_INTERLACED = 0x40


def decode_later_frames(body: bytes, structure: ImageStructure) -> Iterator[Image.Image]:
    """Decode each frame but the first, as palette indexes in mode L. Skips frames without pixels.

    Raises TooManyPixels for a frame that is larger than the image.
    """
    images = [each for each in read_structure(body).segments if each.name == IMAGE]
    for segment in images[1:]:
        width, height = _size(body, segment)
        if width * height > structure.largest:
            raise TooManyPixels("a frame is larger than the image says")
        if width and height:
            yield _load(_Frame(body, segment))


def _load(image: ImageFile.ImageFile) -> Image.Image:
    image.load()
    return image


def _size(body: bytes, segment: Segment) -> tuple[int, int]:
    width, height = (
        body[segment.data + 4 : segment.data + 6],
        body[segment.data + 6 : segment.data + 8],
    )
    return int.from_bytes(width, "little"), int.from_bytes(height, "little")


class _Frame(ImageFile.ImageFile):
    format = "GIF"

    def __init__(self, body: bytes, segment: Segment) -> None:
        self._body, self._segment = body, segment
        super().__init__(BytesIO(body))

    def _open(self) -> None:
        at = self._segment.data
        flags = self._body[at + _FLAGS]
        at += _DESCRIPTOR_SIZE + color_table_size(flags)
        self._size, self._mode = _size(self._body, self._segment), "L"
        # The number of bits, whether rows are interlaced, and no index that leaves a pixel as it is.
        options = (self._body[at], bool(flags & _INTERLACED), -1)
        self.tile = [
            ImageFile._Tile("gif", (0, 0, *self._size), at + 1, options)  # noqa: SLF001 - as Pillow documents for plug-ins
        ]

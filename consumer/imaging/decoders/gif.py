"""Decodes a GIF one frame at a time.

Pillow gets a copy with the first frame only, because it misreads an extension without sub-blocks.
Pillow draws each frame on a canvas of 4 bytes per pixel and keeps up to four of these. Many small frames on a large
canvas would therefore take long. The hash and the colour need the first frame only. Each other frame is decoded alone,
as a check.
"""

from collections.abc import Iterator
from io import BytesIO

from PIL import Image, ImageFile

from consumer.imaging.structure import ImageStructure, Segment
from consumer.imaging.structure.gif import GRAPHIC_CONTROL, IMAGE, SCREEN_SIZE, color_table_size
from core.errors import TooManyPixels

_TRAILER = b";"
_CONTROL_SIZE = 4
_DESCRIPTOR_SIZE = 9
_FLAGS = 8
_INTERLACED = 0x40


def first_frame_copy(body: bytes, structure: ImageStructure) -> bytes:
    """Return the screen, its colours, and the first frame with its graphic controls. structure: of this body."""
    pieces = [body[: SCREEN_SIZE + color_table_size(body[10])]]
    for segment in structure.segments:
        if segment.name == IMAGE or _is_sound_control(body, segment):
            pieces.append(body[segment.start : segment.stop])
        if segment.name == IMAGE:
            break
    return b"".join((*pieces, _TRAILER))


def _is_sound_control(body: bytes, segment: Segment) -> bool:
    """Return whether a segment is a graphic control with its only sub-block (GIF89a, section 23)."""
    return (
        segment.name == GRAPHIC_CONTROL
        and segment.size == _CONTROL_SIZE + 2
        and body[segment.data] == _CONTROL_SIZE
    )


def decode_later_frames(body: bytes, structure: ImageStructure) -> Iterator[Image.Image]:
    """Decode each frame but the first, as palette indexes in mode L. Skips frames without pixels.

    structure: of this body. Raises TooManyPixels for a frame that is larger than the image.
    """
    images = [each for each in structure.segments if each.name == IMAGE]
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
        # The number of bits, whether rows are interlaced, and the transparent index: none.
        options = (self._body[at], bool(flags & _INTERLACED), -1)
        self.tile = [
            ImageFile._Tile("gif", (0, 0, *self._size), at + 1, options)  # noqa: SLF001 - as Pillow documents for plug-ins
        ]

"""BMP: reads the two headers (Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER)."""

from consumer.imaging.structure.image_structure import ImageStructure
from core.errors import CorruptImage, UnsupportedFormat

_CORE_HEADER = 12
_RUN_LENGTHS = frozenset({1, 2})
_UNCOMPRESSED = frozenset({0, 3})
_HEADERS_MIN = 34


def read_structure(body: bytes) -> ImageStructure:
    """Raise CorruptImage if uncompressed pixels reach past the end of the body.

    Raises UnsupportedFormat for run-length encoding (BI_RLE8, BI_RLE4): Pillow decodes it in Python,
    one pixel at a time and regardless of the size of the body.
    """
    if int.from_bytes(body[14:18], "little") == _CORE_HEADER:
        width, height, depth = (_u16(body, at) for at in (18, 20, 24))
        compression = 0
    else:
        if len(body) < _HEADERS_MIN:
            raise CorruptImage("its header is cut short")
        width = int.from_bytes(body[18:22], "little")
        # A negative height means that the rows run from top to bottom.
        height = abs(int.from_bytes(body[22:26], "little", signed=True))
        depth, compression = _u16(body, 28), int.from_bytes(body[30:34], "little")
    if compression in _RUN_LENGTHS:
        raise UnsupportedFormat("BMP with run-length encoding")
    row = (width * depth + 31) // 32 * 4
    pixels_at = int.from_bytes(body[10:14], "little")
    if compression in _UNCOMPRESSED and pixels_at + row * height > len(body):
        raise CorruptImage("its pixels are cut short")
    area = width * height
    return ImageStructure(width, height, 1, area, area, len(body))


def _u16(body: bytes, at: int) -> int:
    return int.from_bytes(body[at : at + 2], "little")

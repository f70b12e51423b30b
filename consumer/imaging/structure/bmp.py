"""BMP: reads the two headers (Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER, and those of OS/2)."""

import struct
from typing import NamedTuple

from consumer.imaging.structure.image_structure import ImageStructure
from core.errors import CorruptImage, UnsupportedFormat

_FILE_HEADER = 14
_CORE_HEADER, _OS2_HEADER = 12, 64
_RAW, _BIT_FIELDS = 0, 3
_COMPRESSIONS = {
    1: "run-length encoding",
    2: "run-length encoding",
    4: "an embedded JPEG",
    5: "an embedded PNG",
    6: "alpha bit fields",
    11: "CMYK colors",
    12: "run-length encoding",
    13: "run-length encoding",
}
_OS2_RUN_LENGTHS = 4
_HUFFMAN_DEPTH = 1
_DEPTHS = frozenset({1, 4, 8, 16, 24, 32})
_OTHER_DEPTHS = frozenset({2, 64})
"""Bits per pixel that exist, but that Pillow does not decode."""
_PALETTE_DEPTH = 8
_NO_ALPHA = 0
_MASKS_24 = (0xFF0000, 0xFF00, 0xFF)
_BIT_FIELD_LAYOUTS = {
    16: frozenset({(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)}),
    24: frozenset({_MASKS_24}),
    32: frozenset(
        {
            (*_MASKS_24, _NO_ALPHA),
            (*_MASKS_24, 0xFF000000),
            (0xFF000000, 0xFF0000, 0xFF00, _NO_ALPHA),
            (0xFF000000, 0xFF0000, 0xFF00, 0xFF),
            (0xFF000000, 0xFF00, 0xFF, _NO_ALPHA),
            (0xFF000000, 0xFF00, 0xFF, 0xFF0000),
            (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
            (0, 0, 0, _NO_ALPHA),
        }
    ),
}
"""By bits per pixel, the masks that Pillow decodes: red, green, blue, and with 32 bits alpha."""
_MASKS_AT = _FILE_HEADER + 40
_ALPHA_HEADER = 56
"""The shortest header that has a mask of alpha."""
_MASKS_SIZE = 12
_COLOR, _CORE_COLOR = 4, 3
"""Bytes of a colour of the palette."""
_PROFILE_HEADER = 124
_PROFILE_AT = _FILE_HEADER + 112
_COLOR_SPACE = slice(_FILE_HEADER + 56, _FILE_HEADER + 60)
_PROFILE_SPACES = (b"DEBM", b"KNIL")
"""PROFILE_EMBEDDED and PROFILE_LINKED, the name of a file, as little-endian numbers."""
_NUL = b"\0"


class _Header(NamedTuple):
    size: int
    width: int
    height: int
    depth: int
    compression: int = _RAW
    colors: int = 0


def read_structure(body: bytes) -> ImageStructure:
    """Raise CorruptImage if uncompressed pixels or the palette reach past the end of the body.

    Raises UnsupportedFormat for what Pillow does not decode, and for run-length encoding: Pillow decodes it in Python,
    one pixel at a time and regardless of the size of the body.
    """
    try:
        header = _read_header(body)
        _check_decodable(body, header)
    except struct.error:
        raise CorruptImage("its header is cut short") from None
    pixels_at, pixels_stop = _pixels(body, header)
    if pixels_stop > len(body):
        raise CorruptImage("its pixels are cut short")
    end = _find_end(body, header, pixels_stop - pixels_at)
    area = header.width * header.height
    layout = "palette" if header.depth <= _PALETTE_DEPTH else "RGB"
    return ImageStructure(
        header.width, header.height, 1, area, area, end, layout=layout, coded_bytes=len(body)
    )


def coded_pixels(body: bytes) -> tuple[int, int]:
    """Return start and stop of the pixels of a sound BMP."""
    return _pixels(body, _read_header(body))


def _pixels(body: bytes, header: _Header) -> tuple[int, int]:
    start = int.from_bytes(body[10:14], "little")
    row = (header.width * header.depth + 31) // 32 * 4
    return start, start + row * header.height


def _find_end(body: bytes, header: _Header, pixel_bytes: int) -> int:
    """Return the offset of the first byte after the image: after the pixels, or after a colour profile behind them.

    Zero bytes at the end belong to it. Some decoders let pixels begin no earlier than after the palette.
    """
    table = _MASKS_SIZE if header.compression == _BIT_FIELDS else 0
    if header.depth <= _PALETTE_DEPTH:
        color = _CORE_COLOR if header.size == _CORE_HEADER else _COLOR
        table = color * (header.colors or 1 << header.depth)
    pixels_at = max(int.from_bytes(body[10:14], "little"), _FILE_HEADER + header.size + table)
    end = min(max(pixels_at + pixel_bytes, _profile_end(body, header)), len(body))
    return end if body[end:].strip(_NUL) else len(body)


def _profile_end(body: bytes, header: _Header) -> int:
    """Return the end of the profile of a BITMAPV5HEADER, or 0 without one that is complete."""
    if header.size < _PROFILE_HEADER or body[_COLOR_SPACE] not in _PROFILE_SPACES:
        return 0
    offset, size = struct.unpack_from("<II", body, _PROFILE_AT)
    end: int = _FILE_HEADER + offset + size
    return end if end <= len(body) else 0


def _read_header(body: bytes) -> _Header:
    (size,) = struct.unpack_from("<I", body, _FILE_HEADER)
    if size == _CORE_HEADER:
        width, height, _, depth = struct.unpack_from("<HHHH", body, _FILE_HEADER + 4)
        return _Header(size, width, height, depth)
    fields = struct.unpack_from("<iiHHIIIII", body, _FILE_HEADER + 4)
    width, height, _, depth, compression, _, _, _, colors = fields
    if width < 0:
        raise CorruptImage("its width is negative")
    # A negative height means that the rows run from top to bottom.
    return _Header(size, width, abs(height), depth, compression, colors)


def _check_decodable(body: bytes, header: _Header) -> None:
    compression = _compression_name(header)
    if compression:
        raise UnsupportedFormat(f"BMP with {compression}")
    if header.depth in _OTHER_DEPTHS:
        raise UnsupportedFormat(f"BMP with {header.depth} bits per pixel")
    if header.depth not in _DEPTHS:
        raise CorruptImage(f"{header.depth:,} bits per pixel")
    if header.compression == _BIT_FIELDS:
        _check_masks(body, header)
    elif header.depth <= _PALETTE_DEPTH:
        _check_palette(body, header)


def _compression_name(header: _Header) -> str:
    """Return the name of a compression that is not decoded. OS/2 gives two of the numbers other meanings."""
    if header.size == _OS2_HEADER and header.compression == _OS2_RUN_LENGTHS:
        return "run-length encoding"
    if header.compression == _BIT_FIELDS and header.depth == _HUFFMAN_DEPTH:
        return "Huffman coding"
    if header.compression in (_RAW, _BIT_FIELDS):
        return ""
    return _COMPRESSIONS.get(header.compression, f"compression code {header.compression}")


def _check_masks(body: bytes, header: _Header) -> None:
    """Headers of 40 bytes have the masks of the colours behind them, longer ones inside."""
    has_alpha = header.depth == max(_BIT_FIELD_LAYOUTS)
    masks: tuple[int, ...] = struct.unpack_from("<III", body, _MASKS_AT)
    if has_alpha and header.size >= _ALPHA_HEADER:
        masks = struct.unpack_from("<IIII", body, _MASKS_AT)
    elif has_alpha:
        masks = (*masks, _NO_ALPHA)
    if masks not in _BIT_FIELD_LAYOUTS.get(header.depth, ()):
        text = "/".join(f"{mask:x}" for mask in masks)
        raise UnsupportedFormat(f"BMP with bit fields {text} of {header.depth} bits")


def _check_palette(body: bytes, header: _Header) -> None:
    """Refuse a palette with more colours than pixels can refer to: Pillow does not decode it."""
    if header.colors <= 1 << _PALETTE_DEPTH:
        return
    if _FILE_HEADER + header.size + 4 * header.colors > len(body):
        raise CorruptImage("its palette is cut short")
    raise UnsupportedFormat(f"BMP with a palette of {header.colors:,} colors")

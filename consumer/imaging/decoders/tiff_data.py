"""Finds damage in the strips and tiles of a TIFF about which libtiff is silent: in JPEG and in deflated data.

libtiff ignores the warnings of libjpeg-turbo (TIFF Technical Note 2) and the checksum of deflated data (RFC 1950).
It still decodes the pixels.
"""

import zlib
from collections.abc import Iterator
from contextlib import suppress

from consumer.imaging.decoders import jpeg
from consumer.imaging.ifd import Directory, TiffBlock, WalkBudget, parse_block
from consumer.imaging.structure.jpeg import END_MARKER, read_structure
from consumer.imaging.structure.tiff.pixel_format import SAMPLES_MAX
from core.errors import CorruptImage, UnsupportedFormat

_WIDTH, _HEIGHT, _BITS, _SAMPLES = 256, 257, 258, 277
_COMPRESSION, _JPEG, _DEFLATE = 259, 7, frozenset({8, 32946})
_STRIPS, _STRIP_SIZES, _ROWS_PER_STRIP = 273, 279, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 322, 323, 324, 325
_TABLES = 347
_START_SIZE = 2
_LEAST = (1, 1)
"""All entropy-coded data of a JPEG is read at every size, so the smallest will do."""
_TABLES_BYTES_MAX = 64 * 1024 * 1024
"""Copies of the tables for all strips and tiles of a file."""
_INFLATE_MAX = 65_536


def check_data(body: bytes) -> None:
    """Decode each strip and tile that is JPEG or deflated, one at a time. The pixels are not kept.

    Skips variants of JPEG that libjpeg-turbo's interface lacks. Raises ValueError for an error or a warning of
    libjpeg-turbo, zlib.error, CorruptImage for damaged segments, TooManyPixels for too many scans, and MemoryError.
    """
    tiff = parse_block(body)
    if tiff is None:
        return
    # Strips may overlap, and each JPEG is decoded with a copy of the tables.
    budget = WalkBudget(size=2 * len(body) + _TABLES_BYTES_MAX)
    for directory in tiff.walk():
        compression = tiff.number(directory.entry(_COMPRESSION))
        width, height = _piece_size(tiff, directory)
        if compression == _JPEG:
            tables = _tables(tiff, directory)
            for piece in _pieces(tiff, directory):
                budget.spend_bytes(len(tables) + len(piece))
                _check_jpeg(tables + piece[_START_SIZE:] if tables else piece, width * height)
        elif compression in _DEFLATE:
            size = height * (-(-width * _bits(tiff, directory) // 8))
            for piece in _pieces(tiff, directory):
                budget.spend_bytes(len(piece))
                _check_deflated(piece, size)


def _check_jpeg(piece: bytes, pixels: int) -> None:
    with suppress(UnsupportedFormat):
        structure = read_structure(piece, accept_missing_end=True)
        if structure.pixels > pixels:
            raise CorruptImage("a strip is larger than the image says")
        jpeg.decode(piece, structure, _LEAST)


def _check_deflated(piece: bytes, size: int) -> None:
    """Inflate a piece. size: bytes of its pixels; a decoder does not look at what follows them."""
    inflater, left, rest = zlib.decompressobj(), size, piece
    while rest and left >= 0:
        left -= len(inflater.decompress(rest, _INFLATE_MAX))
        rest = inflater.unconsumed_tail


def _pieces(tiff: TiffBlock, directory: Directory) -> Iterator[bytes]:
    for offsets, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
        starts, lengths = (tiff.numbers(directory.entry(tag)) for tag in (offsets, sizes))
        for start, length in zip(starts, lengths, strict=False):
            yield tiff.data[start : start + length]


def _tables(tiff: TiffBlock, directory: Directory) -> bytes:
    """Return the JPEG tables that all strips share, without their end marker. Empty if there are none."""
    entry = directory.entry(_TABLES)
    tables = tiff.value(entry) if entry else b""
    return tables[: max(0, tables.rfind(END_MARKER))]


def _piece_size(tiff: TiffBlock, directory: Directory) -> tuple[int, int]:
    """Return width and height of a strip or tile in pixels."""
    width, height, rows, tile_width, tile_height = (
        tiff.number(directory.entry(tag))
        for tag in (_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT)
    )
    if tile_width and tile_height:
        return tile_width, tile_height
    return width, min(rows or height, height)


def _bits(tiff: TiffBlock, directory: Directory) -> int:
    """Return the bits of a pixel in all planes."""
    samples = tiff.number(directory.entry(_SAMPLES), default=1)
    return samples * max(tiff.numbers(directory.entry(_BITS), most=SAMPLES_MAX) or (1,))

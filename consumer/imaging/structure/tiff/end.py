"""Finds the parts of a TIFF: its coded pixels, and its end, which no field tells (TIFF 6.0, section 2)."""

from collections.abc import Iterator
from itertools import cycle, repeat

from consumer.imaging.ifd import Directory, TiffBlock, WalkBudget, parse_block
from consumer.imaging.structure.tiff.pixel_format import SAMPLES_MAX

_POINTER_TAGS = (0x014A, 0x8769, 0x8825, 0xA005, 0x0190)
"""Tags that point to directories: sub-directories, EXIF, GPS, interoperability, global parameters."""
_STRIPS, _TILES = (273, 279), (324, 325)
_PIXELS = frozenset((_STRIPS[0], _TILES[0]))
_JPEG = 513, 514
_PARTS = (_STRIPS, _TILES, _JPEG)
"""Tags of offsets and of lengths: strips, tiles, a JPEG."""
_LENGTH_UNKNOWN = 0
_JPEG_TABLES = (519, 520, 521)
_JPEG_TABLE_MAX = 272
"""Tags of offsets of tables without lengths, and the length of the longest (section 22)."""
_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 278, 322, 323
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANAR = 258, 259, 262, 277, 284
_UNCOMPRESSED, _OLD_JPEG, _YCBCR, _SEPARATE_PLANES = 1, 6, 6, 2
_TABLES_MAX = 4_194_304
"""Bytes of all tables of offsets. Directories may share a table, so the size of the body is no limit."""
_NUL = b"\0"


def find_end(body: bytes) -> int:
    """Return the offset of the first byte after the image.

    Zero bytes at the end belong to it: they hold nothing, and a location that is erased there leaves some.
    Returns the length of the body if a part has no length. Raises CorruptImage for too many directories or parts.
    """
    tiff = parse_block(body, WalkBudget(size=_TABLES_MAX))
    if tiff is None:
        return len(body)
    end = 0
    for directory in tiff.walk(_POINTER_TAGS):
        ends = (each for each in _ends(tiff, directory) if each <= len(body))
        end = max(end, *ends)
    return end if body[end:].strip(_NUL) else len(body)


def coded_pixels(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each strip, tile and old-style JPEG of the frames. Both are equal for an unknown length.

    Raises CorruptImage for too many directories or parts.
    """
    tiff = parse_block(body, WalkBudget(size=_TABLES_MAX))
    if tiff is None:
        return
    for directory in tiff.walk():
        has_jpeg = tiff.number(directory.entry(_COMPRESSION)) == _OLD_JPEG
        for tags in _PARTS if has_jpeg else (_STRIPS, _TILES):
            for start, size, raw_size in _extents(tiff, directory, *tags):
                yield start, start + (raw_size or size)


def _ends(tiff: TiffBlock, directory: Directory) -> Iterator[int]:
    """Yield the end of each part of a directory. Those beyond the end of the body are of damaged metadata."""
    yield directory.stop
    yield from (entry.data + entry.size for entry in directory.entries)
    for tags in _PARTS:
        yield from _part_ends(tiff, directory, *tags)
    for tag in _JPEG_TABLES:
        for start in _read_table(tiff, directory, tag):
            yield min(start + _JPEG_TABLE_MAX, len(tiff.data))


def _part_ends(
    tiff: TiffBlock, directory: Directory, offsets_tag: int, lengths_tag: int
) -> Iterator[int]:
    if directory.entry(offsets_tag) is None:
        return
    starts = _read_table(tiff, directory, offsets_tag)
    sizes = _read_lengths(tiff, directory, lengths_tag, len(starts))
    if not starts or len(sizes) < len(starts):
        yield len(tiff.data)
    for start, size, raw_size in _extents(tiff, directory, offsets_tag, lengths_tag):
        longest = max(size, raw_size)
        if longest != _LENGTH_UNKNOWN:
            yield start + longest
        elif start:
            yield len(tiff.data)


def _extents(
    tiff: TiffBlock, directory: Directory, offsets_tag: int, lengths_tag: int
) -> Iterator[tuple[int, int, int]]:
    """Yield the offset of each part, its length as declared, and its length without compression."""
    starts = _read_table(tiff, directory, offsets_tag)
    sizes = _read_lengths(tiff, directory, lengths_tag, len(starts))
    return zip(starts, sizes, _raw_sizes(tiff, directory, offsets_tag), strict=False)


def _read_table(tiff: TiffBlock, directory: Directory, tag: int) -> tuple[int, ...]:
    entry = directory.entry(tag)
    tiff.budget.spend_bytes(entry.size if entry else 0)
    return tiff.numbers(entry)


def _read_lengths(tiff: TiffBlock, directory: Directory, tag: int, count: int) -> tuple[int, ...]:
    return tiff.numbers(directory.entry(tag), most=count) or (_LENGTH_UNKNOWN,) * count


def _raw_sizes(tiff: TiffBlock, directory: Directory, offsets_tag: int) -> Iterator[int]:
    """Return the bytes of each strip or tile without compression, whose length decoders ignore. Never ends.

    The size of YCbCr is unknown, because its chroma may be subsampled.
    """
    coded = tiff.number(directory.entry(_COMPRESSION), _UNCOMPRESSED) != _UNCOMPRESSED
    subsampled = tiff.number(directory.entry(_PHOTOMETRIC)) == _YCBCR
    if offsets_tag not in _PIXELS or coded or subsampled:
        return repeat(_LENGTH_UNKNOWN)
    separate = tiff.number(directory.entry(_PLANAR)) == _SEPARATE_PLANES
    samples = 1 if separate else tiff.number(directory.entry(_SAMPLES), default=1)
    bits = samples * max(tiff.numbers(directory.entry(_BITS), most=SAMPLES_MAX) or (1,))
    tiled = offsets_tag in _TILES
    row = (tiff.number(directory.entry(_TILE_WIDTH if tiled else _WIDTH)) * bits + 7) // 8
    height = tiff.number(directory.entry(_HEIGHT))
    rows = tiff.number(directory.entry(_TILE_HEIGHT if tiled else _ROWS_PER_STRIP)) or height
    if tiled or not 0 < rows < height:
        return repeat(row * (rows if tiled else height))
    return (row * min(rows, height - at) for at in cycle(range(0, height, rows)))

"""TIFF: reads directories, strips and tiles (TIFF 6.0, sections 3 and 15)."""

from contextlib import suppress
from dataclasses import dataclass

from consumer.imaging.ifd import (
    MAX_DIRECTORIES,
    MAX_NUMBERS,
    Directory,
    TiffBlock,
    WalkBudget,
    parse_block,
)
from consumer.imaging.structure import jpeg
from consumer.imaging.structure.image_structure import ImageStructure
from consumer.imaging.structure.tiff.end import find_end
from consumer.imaging.structure.tiff.pixel_format import SAMPLES_MAX, check_decodable
from core.errors import CorruptImage, ImageFailure, TooManyPixels

_WIDTH, _HEIGHT = 256, 257
_STRIPS, _STRIP_SIZES, _ROWS_PER_STRIP = 273, 279, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 322, 323, 324, 325
_SAMPLES, _PLANAR = 277, 284
_BITS, _COMPRESSION, _PHOTOMETRIC, _ORIENTATION = 258, 259, 262, 274
_UNCOMPRESSED, _JPEG = 1, 7
_YCBCR = 6
"""libtiff converts it to RGBA."""
_SEPARATE_PLANES = 2
_SINGLE_VALUE_TAGS = frozenset(
    {_WIDTH, _HEIGHT, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_HEIGHT, _SAMPLES, _PLANAR}
)
_SIZE_TAGS = _SINGLE_VALUE_TAGS | {_STRIPS, _TILES}
_PIECES_MAX = 262_144
"""Strips and tiles of all frames. Tables may overlap, so the size of the body is no limit."""
_VALUES_MIN = 67_108_864
"""Bytes of all values. Pillow copies them for each directory, and pages may share a colour profile."""


_WORD = 4
_LAYOUTS = {1: "gray or palette", 2: "gray, 16 bits", _WORD: "several samples, or 32 bits"}
"""By the bytes per pixel of Pillow's image."""


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    area: int
    pieces: int
    coded_bytes: int
    pixel_bytes: int
    buffer_bytes: int


def read_structure(body: bytes, max_frames: int = MAX_DIRECTORIES) -> ImageStructure:
    """Read every directory of the main chain as a frame. Frames may differ in size.

    Raises UnsupportedFormat for pixels that cannot be decoded. Raises CorruptImage if a strip or tile reaches past the
    end. Raises TooManyPixels for more than `max_frames`, where the walk stops, and for too many strips or tiles.
    """
    tiff = parse_block(body, WalkBudget(size=max(len(body), _VALUES_MIN)))
    if tiff is None:
        raise CorruptImage("its header is cut short")
    frames: list[_Frame] = []
    pieces = 0
    next_offset = tiff.first_offset()
    for directory in tiff.walk():
        if len(frames) == max_frames:
            raise TooManyPixels(f"more than {max_frames:,} frames")
        frames.append(_frame(tiff, directory))
        pieces += frames[-1].pieces
        next_offset = directory.next_offset
        if pieces > _PIECES_MAX:
            raise TooManyPixels("too many strips or tiles")
    if not frames or (next_offset and tiff.directory(next_offset) is None):
        raise CorruptImage("a directory is cut short")
    return ImageStructure(
        width=frames[0].width,
        height=frames[0].height,
        frames=len(frames),
        pixels=sum(frame.area for frame in frames),
        largest=max(frame.area for frame in frames),
        end=find_end(body),
        layout=_LAYOUTS[max(frame.pixel_bytes for frame in frames)],
        buffer_bytes=max(frame.buffer_bytes for frame in frames),
        coded_bytes=sum(frame.coded_bytes for frame in frames),
    )


def _frame(tiff: TiffBlock, directory: Directory) -> _Frame:
    _check_complete(tiff, directory)
    check_decodable(tiff, directory)
    width, height, tile_width, tile_height = (
        tiff.number(directory.entry(tag)) for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT)
    )
    rows = tiff.number(directory.entry(_ROWS_PER_STRIP)) or height
    strips, strip_bytes = _count_pieces(tiff, directory, _STRIPS, _STRIP_SIZES)
    tiles, tile_bytes = _count_pieces(tiff, directory, _TILES, _TILE_SIZES)
    separate = tiff.number(directory.entry(_PLANAR)) == _SEPARATE_PLANES
    planes = tiff.number(directory.entry(_SAMPLES), default=1) if separate else 1
    if strips > planes * _needed(height, rows):
        raise CorruptImage("it has more strips than it needs")
    if tiles > planes * _needed(width, tile_width) * _needed(height, tile_height):
        raise CorruptImage("it has more tiles than it needs")
    # A decoder allocates a whole tile, even for a smaller image.
    area = max(width * height, tile_width * tile_height)
    pixel_bytes = _pixel_bytes(tiff, directory)
    piece = tile_width * tile_height if tiles else width * min(rows, height)
    compression = tiff.number(directory.entry(_COMPRESSION), default=1)
    if strips == 1 and compression == _UNCOMPRESSED:
        piece = 0  # libtiff divides a single strip without compression.
    coefficients = _coefficient_bytes(tiff, directory) if compression == _JPEG else 0
    return _Frame(
        width,
        height,
        area,
        strips + tiles,
        strip_bytes + tile_bytes,
        pixel_bytes,
        _buffer_bytes(tiff, directory, piece, pixel_bytes * width * height) + coefficients,
    )


def _pixel_bytes(tiff: TiffBlock, directory: Directory) -> int:
    """Return the bytes per pixel of Pillow's image."""
    if tiff.number(directory.entry(_SAMPLES), default=1) > 1:
        return _WORD
    bits = _bits(tiff, directory)
    return next((size for size in _LAYOUTS if bits <= 8 * size), _WORD)


def _bits(tiff: TiffBlock, directory: Directory) -> int:
    """Return the bits of the largest sample."""
    return max(tiff.numbers(directory.entry(_BITS), most=SAMPLES_MAX) or (1,))


def _buffer_bytes(tiff: TiffBlock, directory: Directory, piece: int, decoded: int) -> int:
    """Return what Pillow holds beside the image: a strip or tile, and a copy of an image that it turns.

    piece: pixels of a strip or tile. decoded: bytes of the image.
    """
    turned = decoded if tiff.number(directory.entry(_ORIENTATION), default=1) > 1 else 0
    separate = tiff.number(directory.entry(_PLANAR)) == _SEPARATE_PLANES
    samples = 1 if separate else tiff.number(directory.entry(_SAMPLES), default=1)
    bits = samples * _bits(tiff, directory)
    if tiff.number(directory.entry(_PHOTOMETRIC)) == _YCBCR:
        bits = max(bits, 8 * _WORD)
    return piece * bits // 8 + turned


def _coefficient_bytes(tiff: TiffBlock, directory: Directory) -> int:
    """Return the bytes of coefficients of a strip or tile that is a JPEG of several scans. All are like the first."""
    for offsets, sizes in ((_STRIPS, _STRIP_SIZES), (_TILES, _TILE_SIZES)):
        start, size = tiff.number(directory.entry(offsets)), tiff.number(directory.entry(sizes))
        # A damaged strip is refused later, when it is decoded.
        with suppress(ImageFailure):
            if start:
                data = tiff.data[start : start + size]
                return jpeg.read_structure(data, accept_missing_end=True).buffer_bytes
    return 0


def _needed(length: int, piece: int) -> int:
    return -(-length // piece) if piece else 0


def _check_complete(tiff: TiffBlock, directory: Directory) -> None:
    tags = [entry.tag for entry in directory.entries if entry.tag in _SIZE_TAGS]
    if len(tags) != len(set(tags)):
        raise CorruptImage("it gives its size twice")
    if any(entry.tag in _SINGLE_VALUE_TAGS and entry.count > 1 for entry in directory.entries):
        raise CorruptImage("it gives its size more than once")
    values_end = max((entry.data + entry.size for entry in directory.entries), default=0)
    if not directory.complete or values_end > len(tiff.data):
        raise CorruptImage("a directory is cut short")
    tiff.budget.spend_bytes(sum(entry.size for entry in directory.entries))


def _count_pieces(
    tiff: TiffBlock, directory: Directory, offsets_tag: int, lengths_tag: int
) -> tuple[int, int]:
    """Count the strips or tiles and their bytes, and check that each lies inside the file.

    A decoder that trusts the tables would decode each piece, needed or not.
    """
    offsets, lengths = directory.entry(offsets_tag), directory.entry(lengths_tag)
    if offsets is None:
        return 0, 0
    if offsets.count > MAX_NUMBERS:
        raise TooManyPixels(f"more than {MAX_NUMBERS:,} strips or tiles")
    starts, sizes = tiff.numbers(offsets), tiff.numbers(lengths, most=offsets.count)
    # Old writers leave the lengths out. Then only the decoder can detect a missing part.
    sizes = sizes or (0,) * len(starts)
    if len(starts) != offsets.count or len(sizes) < len(starts):
        raise CorruptImage("its table of strips is cut short")
    if any(start + size > len(tiff.data) for start, size in zip(starts, sizes, strict=False)):
        raise CorruptImage("a strip is cut short")
    return len(starts), sum(sizes)

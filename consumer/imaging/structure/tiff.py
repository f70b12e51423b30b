"""TIFF: directories, strips and tiles (TIFF 6.0, sections 3 and 15)."""

from dataclasses import dataclass

from consumer.imaging.ifd import MAX_NUMBERS, Block, Directory, WalkBudget, block
from consumer.imaging.structure.segments import Layout
from core.errors import CorruptImage, TooManyPixels, UnsupportedFormat

_WIDTH, _HEIGHT = 256, 257
_STRIPS, _STRIP_SIZES, _ROWS_PER_STRIP = 273, 279, 278
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 322, 323, 324, 325
_SAMPLES, _PLANAR = 277, 284
_SEPARATE_PLANES = 2
_SHAPE = frozenset(
    {
        _WIDTH,
        _HEIGHT,
        _STRIPS,
        _ROWS_PER_STRIP,
        _TILE_WIDTH,
        _TILE_HEIGHT,
        _TILES,
        _SAMPLES,
        _PLANAR,
    }
)
_SINGLE = _SHAPE - {_STRIPS, _TILES}
_PIECES_MAX = 262_144
"""Strips and tiles of all frames, for tables may overlap."""
_VALUES_MIN = 67_108_864
"""Bytes of all values, which Pillow copies for each directory; pages may share a colour profile."""
_DNG_VERSION = 50706
_CANON_RAW = b"CR"


@dataclass(frozen=True, slots=True)
class _Frame:
    width: int
    height: int
    area: int
    pieces: int


def read(body: bytes, max_frames: int) -> Layout:
    """Every directory of the main chain is a frame; frames may differ in size.

    Raises CorruptImage where a strip or tile reaches past the end, UnsupportedFormat for camera
    raw files in TIFF's clothes, TooManyPixels for more than `max_frames`, at which the walk stops,
    and for more pieces than can be walked.
    """
    tiff = block(body, WalkBudget(size=max(len(body), _VALUES_MIN)))
    if tiff is None:
        raise CorruptImage("its header is cut short")
    if body[8:10] == _CANON_RAW:
        raise UnsupportedFormat("camera raw")
    frames: list[_Frame] = []
    pieces = 0
    following = tiff.first()
    for directory in tiff.walk():
        if len(frames) == max_frames:
            raise TooManyPixels(f"more than {max_frames:,} frames")
        frames.append(_frame(tiff, directory))
        pieces += frames[-1].pieces
        following = directory.following
        if pieces > _PIECES_MAX:
            raise TooManyPixels("more strips than can be walked")
    if not frames or (following and tiff.directory(following) is None):
        raise CorruptImage("a directory is cut short")
    return Layout(
        width=frames[0].width,
        height=frames[0].height,
        frames=len(frames),
        pixels=sum(frame.area for frame in frames),
        largest=max(frame.area for frame in frames),
        end=len(body),
    )


def _frame(tiff: Block, directory: Directory) -> _Frame:
    _check_whole(tiff, directory)
    if directory.entry(_DNG_VERSION):
        raise UnsupportedFormat("camera raw")
    width, height, tile_width, tile_height = (
        tiff.number(directory.entry(tag)) for tag in (_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT)
    )
    rows = tiff.number(directory.entry(_ROWS_PER_STRIP)) or height
    strips = _pieces(tiff, directory, _STRIPS, _STRIP_SIZES)
    tiles = _pieces(tiff, directory, _TILES, _TILE_SIZES)
    separate = tiff.number(directory.entry(_PLANAR)) == _SEPARATE_PLANES
    planes = tiff.number(directory.entry(_SAMPLES), default=1) if separate else 1
    if strips > planes * _needed(height, rows):
        raise CorruptImage("it has more strips than it needs")
    if tiles > planes * _needed(width, tile_width) * _needed(height, tile_height):
        raise CorruptImage("it has more tiles than it needs")
    # A decoder takes memory for a whole tile, however small the picture.
    area = max(width * height, tile_width * tile_height)
    return _Frame(width, height, area, strips + tiles)


def _needed(length: int, piece: int) -> int:
    return -(-length // piece) if piece else 0


def _check_whole(tiff: Block, directory: Directory) -> None:
    shape = [entry.tag for entry in directory.entries if entry.tag in _SHAPE]
    if len(shape) != len(set(shape)):
        raise CorruptImage("it gives its shape twice")
    if any(entry.tag in _SINGLE and entry.count > 1 for entry in directory.entries):
        raise CorruptImage("it gives its shape more than once")
    values_end = max((entry.data + entry.size for entry in directory.entries), default=0)
    if not directory.whole or values_end > len(tiff.data):
        raise CorruptImage("a directory is cut short")
    tiff.budget.spend_bytes(sum(entry.size for entry in directory.entries))


def _pieces(tiff: Block, directory: Directory, where: int, length: int) -> int:
    """How many strips or tiles there are; each must lie inside the file.

    A decoder that takes tables at their word would decode each piece, needed or not.
    """
    offsets, lengths = directory.entry(where), directory.entry(length)
    if offsets is None:
        return 0
    if offsets.count > MAX_NUMBERS:
        raise TooManyPixels(f"more than {MAX_NUMBERS:,} strips or tiles")
    starts, sizes = tiff.numbers(offsets), tiff.numbers(lengths, most=offsets.count)
    # Old writers leave the lengths out; then only the decoder can tell.
    sizes = sizes or (0,) * len(starts)
    if len(starts) != offsets.count or len(sizes) < len(starts):
        raise CorruptImage("its table of strips is cut short")
    if any(start + size > len(tiff.data) for start, size in zip(starts, sizes, strict=False)):
        raise CorruptImage("a strip is cut short")
    return len(starts)

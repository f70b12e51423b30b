"""Perceptual hash (64 bits) and dominant colour of an image, computed from a thumbnail."""

from functools import reduce
from operator import mul, or_
from typing import cast

from PIL import Image

from consumer.imaging.reduction import reduce_image

_SMALL_SIDE = 64
_LONG_SIDE = 512
_HASH_WIDTH, _HASH_HEIGHT = 9, 8
_PAIRS = tuple(
    (at, at + 1)
    for row in range(_HASH_HEIGHT)
    for at in range(row * _HASH_WIDTH, row * _HASH_WIDTH + _HASH_WIDTH - 1)
)
"""Indexes of each pixel of the hash's grid and of the pixel to its right."""

_CELL_BITS = ((3, 5), (3, 2), (2, 0))
"""For red, green and blue: the number of high bits that select the cell, and their shift in the cell's number."""
_CELL_OF = tuple(
    bytes(value >> (8 - bits) << shift for value in range(256)) for bits, shift in _CELL_BITS
)
_ONLY = tuple(bytes(255 * (value == cell) for value in range(256)) for cell in range(256))
_WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_INDEXED_MODES = frozenset({"P", "PA", "1"})
_TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def make_thumbnail(image: Image.Image, orientation: int = 1) -> Image.Image:
    """Return a loaded image as RGB on white, upright.

    Its shorter side has 64 to 127 pixels, its longer side at most 1,023. Both have fewer if the image has fewer.
    """
    least = max(1, min(image.size) // _SMALL_SIDE)
    factors = max(least, image.width // _LONG_SIDE), max(least, image.height // _LONG_SIDE)
    if image.mode in _INDEXED_MODES or image.mode in _WIDE_MODES:
        # Palette indexes cannot be averaged, and Pillow does not reduce every wide mode.
        size = (max(1, image.width // factors[0]), max(1, image.height // factors[1]))
        thumbnail = image.resize(size, Image.Resampling.NEAREST)
    else:
        thumbnail = reduce_image(image, factors)
    thumbnail = _to_rgb(thumbnail)
    method = _TRANSPOSED.get(orientation)
    return thumbnail.transpose(method) if method is not None else thumbnail


def _to_rgb(thumbnail: Image.Image) -> Image.Image:
    if thumbnail.mode in _WIDE_MODES:
        thumbnail = _stretch(thumbnail)
    elif thumbnail.mode == "LAB":
        thumbnail = thumbnail.getchannel(0)
    elif thumbnail.mode == "La":
        thumbnail = thumbnail.convert("LA")
    if not thumbnail.has_transparency_data:
        return thumbnail.convert("RGB")
    white = Image.new("RGBA", thumbnail.size, "white")
    return Image.alpha_composite(white, thumbnail.convert("RGBA")).convert("RGB")


def _stretch(thumbnail: Image.Image) -> Image.Image:
    """Stretch a mode without a fixed range from its darkest to its lightest value."""
    numbers = thumbnail.convert("F")
    low, high = cast("tuple[float, float]", numbers.getextrema())
    scale = 255 / (high - low) if high > low else 0.0
    return numbers.point(lambda value: value * scale - low * scale).convert("L")


def difference_hash(thumbnail: Image.Image) -> str:
    """Return the dHash as 16 hexadecimal digits. Similar images differ in few bits.

    A bit is set for each pixel of an 8 x 8 grid that is darker than the one to its right.
    """
    gray = thumbnail.convert("L").resize((_HASH_WIDTH, _HASH_HEIGHT), Image.Resampling.BOX)
    values = gray.tobytes()
    bits = "".join(["1" if values[left] < values[right] else "0" for left, right in _PAIRS])
    return f"{int(bits, 2):016x}"


def dominant_color(thumbnail: Image.Image) -> str:
    """Return the mean colour of the fullest of 256 cells of the colour cube, as #rrggbb.

    A cell is 32 values of red by 32 of green by 64 of blue.
    """
    # Pillow's octree takes 4 times as long, its median cut 30 times: longer than decoding a draft.
    half = thumbnail.reduce(2)
    pixels = half.tobytes()
    parts = (pixels[at::3].translate(cell_of) for at, cell_of in enumerate(_CELL_OF))
    cells = reduce(or_, (int.from_bytes(part) for part in parts)).to_bytes(len(pixels) // 3)
    counts = Image.frombytes("L", half.size, cells).histogram()
    cell = counts.index(max(counts))
    inside = Image.frombytes("L", half.size, cells.translate(_ONLY[cell]))
    histogram = half.histogram(inside)
    channels = (_mean(histogram, 256 * at, cell, *bits) for at, bits in enumerate(_CELL_BITS))
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _mean(histogram: list[int], start: int, cell: int, bits: int, shift: int) -> int:
    """Return the mean of one channel inside the cell. Its counts begin at `start`."""
    width = 256 >> bits
    low = (cell >> shift) % (1 << bits) * width
    counts = histogram[start + low : start + low + width]
    total: int = sum(map(mul, counts, range(width)))
    return low + round(total / sum(counts))

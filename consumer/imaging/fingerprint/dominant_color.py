"""The dominant colour of an image: one that occurs in it, not a mean of several."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from consumer.imaging.fingerprint.rgb import to_rgb

_COLUMNS, _ROWS = 37, 31
"""Pixels that are looked at. Primes, so that a pattern in the image does not hide its other colours."""
_INDEXED_MODES = frozenset({"1", "P"})
_CELLS = 256
_SHARE = 4
"""A colour that at least one of so many pixels in the cell has represents it; else the one next to the mean does."""

Colors = NDArray[np.uint32]
"""Red in the lowest byte, then green, then blue. The highest byte is zero."""


def dominant_color(image: Image.Image) -> str:
    """Return a colour of the fullest of 256 cells of the colour cube, as #rrggbb.

    A cell is 32 values of red by 32 of green by 64 of blue. All pixels of an image with a palette count, and samples of
    other images. Pixels with transparency count as they look on white.
    """
    # Pillow's octree takes 4 times as long, its median cut 30 times: longer than decoding a draft.
    if image.mode in _INDEXED_MODES:
        color = _most_frequent_index(_palette(image), np.array(image.histogram()))
    else:
        size = min(image.width, _COLUMNS), min(image.height, _ROWS)
        color = _representative(_pixels(image.resize(size, Image.Resampling.NEAREST)))
    return f"#{color.to_bytes(3, 'little').hex()}"


def _palette(image: Image.Image) -> Colors:
    """Return the colour of each value that a pixel can have."""
    if image.mode == "1":
        return _pixels(Image.frombytes("L", (_CELLS, 1), b"\x00" + b"\xff" * (_CELLS - 1)))
    row = image.crop((0, 0, _CELLS, 1))
    row.putdata(range(_CELLS))
    return _pixels(row)


def _pixels(image: Image.Image) -> Colors:
    if image.mode != "RGBX":
        image = to_rgb(image).convert("RGBX")
    return np.frombuffer(image.tobytes(), "<u4") & np.uint32(0xFFFFFF)


def _cells(colors: Colors) -> NDArray[np.integer]:
    """Return the cell of each colour: three high bits of red and of green, two of blue."""
    high_bits = colors & 0xC0E0E0
    return (high_bits >> 5 | high_bits >> 10 | high_bits >> 16) & 0xFF


def _most_frequent_index(palette: Colors, counts: NDArray[np.int64]) -> int:
    cells = _cells(palette)
    cell = np.bincount(cells, counts, minlength=_CELLS).argmax()
    return int(palette[np.where(cells == cell, counts, -1).argmax()])


def _representative(colors: Colors) -> int:
    """Return the most frequent colour of the fullest cell if it is frequent, else the one nearest to the mean."""
    cells = _cells(colors)
    inside = colors[cells == np.bincount(cells, minlength=_CELLS).argmax()]
    inside.sort()
    # A sorted array has equal values at this distance if a value is frequent.
    distance = -(-len(inside) // _SHARE) - 1
    if (inside[distance:] == inside[: len(inside) - distance]).any():
        values, counts = np.unique_counts(inside)
        return int(values[counts.argmax()])
    channels = inside.view(np.uint8).reshape(-1, 4).astype(np.float32)
    # Sums over a short axis take twice as long.
    channels -= np.einsum("ij->j", channels) / len(channels)
    return int(inside[np.einsum("ij,ij->i", channels, channels).argmin()])

"""Reduces an image by averaging, in little memory."""

from collections.abc import Iterator

from PIL import Image

BAND_PIXELS = 1 << 16
_PREMULTIPLIED_MODES = frozenset({"LA", "RGBA"})
"""Pillow reduces these by way of a copy of the whole image with premultiplied alpha."""


def reduce_image(
    image: Image.Image, factors: tuple[int, int], mode: str | None = None
) -> Image.Image:
    """Return the result of `image.convert(mode).reduce(factors)`, without a copy of the whole image.

    factors: of width and height. mode: None for that of the image.
    """
    mode = mode or image.mode
    if mode == image.mode and mode not in _PREMULTIPLIED_MODES:
        return image.reduce(factors)
    size = -(-image.width // factors[0]), -(-image.height // factors[1])
    reduced = Image.new(mode, size)
    for top, band in bands(image, factors[1]):
        reduced.paste(band.convert(mode).reduce(factors), (0, top // factors[1]))
    return reduced


def bands(image: Image.Image, step: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield each band of rows of an image with its top row. The height of a band is a multiple of `step` rows."""
    rows = band_rows(image.width, step)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def band_rows(width: int, step: int = 1) -> int:
    """Return the rows of a band: BAND_PIXELS at most, or `step` rows if these have more."""
    return max(1, BAND_PIXELS // (width * step)) * step

"""Reduces an image by averaging, in little memory."""

from PIL import Image

_PREMULTIPLIED_MODES = frozenset({"LA", "RGBA"})
"""Pillow reduces these by way of a copy of the whole image with premultiplied alpha."""


def reduce_image(image: Image.Image, factors: tuple[int, int]) -> Image.Image:
    """Return the result of `image.reduce(factors)`, without a copy of the whole image. factors: of width and height."""
    if image.mode not in _PREMULTIPLIED_MODES:
        return image.reduce(factors)
    width, height = image.size
    size = -(-width // factors[0]), -(-height // factors[1])
    reduced = Image.new(image.mode, size)
    for row in range(size[1]):
        top = row * factors[1]
        band = image.crop((0, top, width, min(top + factors[1], height)))
        reduced.paste(band.reduce(factors), (0, row))
    return reduced

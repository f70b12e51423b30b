"""Converts an image of any of Pillow's modes to RGB as it is displayed, on white."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from consumer.imaging.reduction import bands

WIDE_MODES = frozenset({"I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}
"""Modes with premultiplied alpha, from which Pillow converts to few others."""
_WHITE_16, _WHITE_31 = 65_535, 2_147_483_647
_FLOAT_WHITES = (1.0, 255.0, 65_535.0)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an RGB image of the same size."""
    if image.mode in WIDE_MODES:
        image = to_gray(image)
    elif image.mode == "LAB":
        return _lab_to_srgb().apply(image)
    elif image.mode in _STRAIGHT:
        image = image.convert(_STRAIGHT[image.mode])
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def to_gray(image: Image.Image) -> Image.Image:
    """Scale a wide mode by a fixed range, so that the same value is the same gray in every image.

    White is 65,535 for 16 bits. For 32-bit integers it is the same if no value is larger, as in samples of 16 bits with
    a sign, else the largest that the mode can hold. For floating point it is 1, 255 or 65,535, the first that no value
    exceeds, else the largest value. Negative values and those that are no number are black.
    """
    white = _white(image)
    gray = Image.new("L", image.size)
    for top, band in bands(image):
        values = _finite_values(band).clip(0, white) * (255 / white)
        gray.paste(Image.fromarray(np.rint(values).astype(np.uint8)), (0, top))
    return gray


def _white(image: Image.Image) -> float:
    if image.mode.startswith("I;16"):
        return _WHITE_16
    highest = max(float(_finite_values(band).max()) for _, band in bands(image))
    if image.mode == "F":
        return next((each for each in _FLOAT_WHITES if highest <= each), highest)
    return _WHITE_16 if highest <= _WHITE_16 else _WHITE_31


def _finite_values(image: Image.Image) -> NDArray[np.float64]:
    """Return the value of each pixel. Infinity and what is no number are zero."""
    values = np.asarray(image).astype(np.float64)
    values[~np.isfinite(values)] = 0
    return values


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")

"""Converts an image of any of Pillow's modes to RGB as it is displayed, on white."""

from functools import cache

import numpy as np
from PIL import Image, ImageCms

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
    values = np.asarray(image).astype(np.float64)
    values[~np.isfinite(values)] = 0
    highest = float(values.max())
    if image.mode == "F":
        white = next((each for each in _FLOAT_WHITES if highest <= each), highest)
    else:
        white = _WHITE_16 if highest <= _WHITE_16 else _WHITE_31
    return Image.fromarray(np.rint(values.clip(0, white) * (255 / white)).astype(np.uint8))


@cache
def _lab_to_srgb() -> ImageCms.ImageCmsTransform:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(lab, srgb, "LAB", "RGB")

"""The perceptual hash of an image (64 bits), computed from a thumbnail."""

from PIL import Image

from consumer.imaging.fingerprint.rgb import WIDE_MODES, to_rgb
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

_UNREDUCED_MODES = frozenset({"P", "PA", "1", "HSV"}) | WIDE_MODES
"""Palette indexes and hues cannot be averaged, and Pillow does not reduce every wide mode."""
TRANSPOSED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation: how an image is turned upright."""


def make_thumbnail(image: Image.Image, orientation: int = 1) -> Image.Image:
    """Return a loaded image as RGB on white, upright. An image of mode RGBX keeps it: its fourth byte has no meaning.

    Its shorter side has 64 to 127 pixels, its longer side at most 1,023. Both have fewer if the image has fewer.
    """
    least = max(1, min(image.size) // _SMALL_SIDE)
    factors = max(least, image.width // _LONG_SIDE), max(least, image.height // _LONG_SIDE)
    if image.mode in _UNREDUCED_MODES:
        size = (max(1, image.width // factors[0]), max(1, image.height // factors[1]))
        thumbnail = image.resize(size, Image.Resampling.NEAREST)
    else:
        thumbnail = reduce_image(image, factors)
    if thumbnail.mode != "RGBX":
        thumbnail = to_rgb(thumbnail)
    method = TRANSPOSED.get(orientation)
    return thumbnail.transpose(method) if method is not None else thumbnail


def difference_hash(thumbnail: Image.Image) -> str:
    """Return the dHash as 16 hexadecimal digits. Similar images differ in few bits.

    A bit is set for each pixel of an 8 x 8 grid that is darker than the one to its right.
    """
    gray = thumbnail.convert("L").resize((_HASH_WIDTH, _HASH_HEIGHT), Image.Resampling.BOX)
    values = gray.tobytes()
    bits = "".join(["1" if values[left] < values[right] else "0" for left, right in _PAIRS])
    return f"{int(bits, 2):016x}"

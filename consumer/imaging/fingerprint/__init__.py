"""The perceptual hash and the dominant colour of an image. Imports numpy, so only decoder processes may import it."""

import warnings

from PIL import Image

from consumer.imaging.fingerprint.dominant_color import dominant_color
from consumer.imaging.fingerprint.perceptual_hash import TRANSPOSED, difference_hash, make_thumbnail

__all__ = ["TRANSPOSED", "difference_hash", "dominant_color", "fingerprint", "make_thumbnail"]


def fingerprint(image: Image.Image, orientation: int = 1) -> tuple[str, str]:
    """Return the hash and the colour of a loaded image.

    Both are empty, with a warning, if Pillow cannot convert the image: the image is not damaged. MemoryError is not
    caught.
    """
    try:
        return difference_hash(make_thumbnail(image, orientation)), dominant_color(image)
    except MemoryError:
        raise
    except Exception as fault:  # noqa: BLE001 - whatever Pillow or numpy raises, the image is intact
        warnings.warn(f"no fingerprint of mode {image.mode}: {fault!r}", stacklevel=1)
        return "", ""

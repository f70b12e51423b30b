"""Opens HEIC by libheif and libde265, if the optional package pi-heif is installed.

The image is upright: libheif applies the transformations of the container. The orientation in EXIF is ignored.
"""

from contextlib import suppress
from io import BytesIO

from PIL import ImageFile

with suppress(ImportError):
    import pi_heif

    pi_heif.options.DECODE_THREADS = 1
    pi_heif.options.THUMBNAILS = pi_heif.options.DEPTH_IMAGES = pi_heif.options.AUX_IMAGES = False


def open_heic(file: BytesIO) -> ImageFile.ImageFile:
    """Open the primary image. Without pi-heif, no body is accepted as HEIC, so this is never called."""
    image: ImageFile.ImageFile = pi_heif.HeifImageFile(file)
    if not image.info["primary"]:
        raise SyntaxError("its primary image is not an image of its own")
    return image

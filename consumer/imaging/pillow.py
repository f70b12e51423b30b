"""Access to Pillow: opens a file with one plug-in, and translates the errors of decoders.

A module of its own, because structure/iso/avif.py and decode.py both need it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from consumer.imaging.decoders.avif import AvifFile
from consumer.imaging.decoders.heic import open_heic
from consumer.imaging.decoders.tiff import TiffFile
from consumer.imaging.decoders.webp import WebPFile
from consumer.imaging.formats import AVIF, HEIC, JPEG, TIFF, WEBP, Format
from core.errors import CorruptImage, ImageFailure, TooManyPixels

_OPENERS: dict[Format, Callable[[BytesIO], ImageFile.ImageFile]] = {
    # Image.open passes a file with an index of further images to the MPO plug-in.
    JPEG: JpegImageFile,
    WEBP: WebPFile,
    AVIF: AvifFile,
    HEIC: open_heic,
    TIFF: TiffFile,
}


def open_image(image_format: Format, body: bytes) -> ImageFile.ImageFile:
    """Parse the header with the plug-in of `image_format` only. Decodes no pixel.

    Call it inside `translate_decoder_errors`, after the structure has passed the limits.
    """
    opener = _OPENERS.get(image_format)
    if opener is not None:
        return opener(BytesIO(body))
    return Image.open(BytesIO(body), formats=(image_format.name,))


@contextmanager
def translate_decoder_errors() -> Iterator[None]:
    """Turn any error of a decoder into CorruptImage, or TooManyPixels for a decompression bomb.

    MemoryError is not translated: it is a fault of this process, not of the image.
    """
    try:
        yield
    except (ImageFailure, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        raise TooManyPixels from bomb
    except Exception as fault:
        # Damaged bytes make Pillow's plug-ins raise any error that their Python code can raise.
        raise CorruptImage from fault

"""The only way to Pillow: one named plug-in at a time, and its faults turned into verdicts."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from consumer.imaging.formats import JPEG, Format
from core.errors import CorruptImage, ImageFailure, TooManyPixels


def opened(kind: Format, body: bytes) -> ImageFile.ImageFile:
    """Parses the header by the plug-in of `kind` alone; no pixel is decoded yet.

    To be called inside `decoder_faults`, after the layout's size has passed the budget.
    """
    if kind == JPEG:
        # Image.open would hand a file with an index of further pictures to the plug-in for those.
        return JpegImageFile(BytesIO(body))
    return Image.open(BytesIO(body), formats=(kind.name,))


@contextmanager
def decoder_faults() -> Iterator[None]:
    """Turns whatever a decoder raises into CorruptImage, or TooManyPixels for a bomb.

    MemoryError passes: it says something about this process, not about the picture.
    """
    try:
        yield
    except (ImageFailure, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        raise TooManyPixels from bomb
    except Exception as fault:
        # Damaged bytes make Pillow's plug-ins raise what their Python code happens to run into.
        raise CorruptImage from fault

"""Decodes JPEG by libjpeg-turbo, which reports damage inside a scan as a warning. Each warning is CorruptImage.

Pillow hides these warnings.
"""

from io import BytesIO

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from simplejpeg import decode_jpeg

from consumer.imaging.decoders.jpeg_header import clean_header, has_common_sampling
from consumer.imaging.structure import ImageStructure
from consumer.imaging.structure.jpeg import END_MARKER, read_structure

_SCALES = (8, 4, 2, 1)
_CHANNELS = {"L": 1, "RGB": 4, "CMYK": 4}
_COLORSPACES = {"L": "GRAY", "RGB": "RGBX", "CMYK": "CMYK"}
_NO_MEMORY = "Insufficient memory"
"""Begins libjpeg's message JERR_OUT_OF_MEMORY."""


def decode(body: bytes, structure: ImageStructure, least: tuple[int, int] | None) -> Image.Image:
    """Decode a JPEG. Returns an image of mode L, RGBX or CMYK.

    structure: of the body, or of the same body with other metadata.
    least: width and height that suffice; the image is decoded at down to an eighth of its size. All entropy-coded
        data is read at every size. None: decode at full size.
    Raises ValueError for every error and warning of libjpeg-turbo, and MemoryError.
    """
    if structure.missing_end:
        body += END_MARKER
    scale = 1 if least is None else _scale(structure.width, structure.height, least)
    try:
        return _decode(body, structure, scale)
    except ValueError as fault:
        if str(fault).startswith(_NO_MEMORY):
            raise MemoryError from fault
        # The body may differ from the one that was read first: its location was removed.
        reread = read_structure(body)
        if not has_common_sampling(body, reread):
            return _decode_with_pillow(body, scale)
        cleaned = clean_header(body, reread)
        if cleaned == body:
            raise
    return _decode(cleaned, structure, scale)


def _scale(width: int, height: int, least: tuple[int, int]) -> int:
    """Return the largest of _SCALES that leaves at least `least`, or the size itself if it is smaller."""
    quotient = min(
        width // max(width // _SCALES[0], min(width, least[0])),
        height // max(height // _SCALES[0], min(height, least[1])),
    )
    return next(scale for scale in _SCALES if scale <= quotient)


def _decode(body: bytes, structure: ImageStructure, scale: int) -> Image.Image:
    mode = structure.mode
    width, height = -(-structure.width // scale), -(-structure.height // scale)
    # An image that is larger than the structure says does not fit into the buffer.
    buffer = np.empty(width * height * _CHANNELS[mode], np.uint8)
    pixels = decode_jpeg(
        body, _COLORSPACES[mode], min_height=height, min_width=width, buffer=buffer
    )
    if pixels.shape[:2] != (height, width):
        raise ValueError("the size differs from the structure")
    if mode == "CMYK":
        # By Adobe's convention, CMYK values in a JPEG are inverted. Pillow inverts them too.
        np.invert(buffer, out=buffer)
    # The image shares the memory of the buffer.
    mode = "RGBX" if mode == "RGB" else mode
    return Image.frombuffer(mode, (width, height), buffer, "raw", mode, 0, 1)


def _decode_with_pillow(body: bytes, scale: int) -> Image.Image:
    """Decode chroma subsampling that TurboJPEG's interface does not have. Damage inside a scan is not detected."""
    image = JpegImageFile(BytesIO(body))
    image.draft(None, (image.width // scale, image.height // scale))
    image.load()
    return image

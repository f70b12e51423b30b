"""Shrinks an image to a rendition. It is converted in bands of rows, so that there is never a copy of its size."""

from PIL import Image

from consumer.imaging.reduction import bands, reduce_image
from consumer.imaging.renditions.crop import Crop

_AVERAGED_MODES = frozenset({"L", "LA", "RGB", "RGBX", "RGBA", "CMYK", "LAB"})
"""Modes whose pixels can be averaged."""
_STRAIGHT = {"La": "LA", "RGBa": "RGBA"}
_PREMULTIPLIED = {"LA": "La", "RGBA": "RGBa"}
"""Pillow resamples these by way of a copy of the whole image."""


def shrink_image(image: Image.Image, crop: Crop) -> Image.Image:
    """Cut the part of `crop` out of an image and shrink it. Returns the mode L, LA, RGB, RGBX, RGBA, CMYK or LAB.

    image: of any mode except the wide ones, at full size or at a draft scale.
    """
    mode = _averaged_mode(image)
    factor = crop.reduction(image.size)
    if factor > 1:
        image = reduce_image(image, (factor, factor), mode)
    return _resample(image, mode, crop.size, crop.box(image.size))


def _averaged_mode(image: Image.Image) -> str:
    if image.mode in {"P", "PA", "1"} or "transparency" in image.info:
        return "RGBA" if image.has_transparency_data else "RGB"
    if image.mode in _AVERAGED_MODES:
        return image.mode
    return _STRAIGHT.get(image.mode, "RGB")


def _resample(
    image: Image.Image, mode: str, size: tuple[int, int], box: tuple[float, float, float, float]
) -> Image.Image:
    """Return `image.convert(mode).resize(size, LANCZOS, box)`, without a copy of the whole image.

    Values may differ by rounding, because Pillow does not always begin with the columns.
    """
    if image.mode == mode and mode not in _PREMULTIPLIED:
        return image.resize(size, Image.Resampling.LANCZOS, box=box)
    if image.size == size and box == (0, 0, *size):
        return image.convert(mode)
    left, top, right, bottom = box
    averaged = _PREMULTIPLIED.get(mode, mode)
    narrow = Image.new(averaged, (size[0], image.height), None)
    for row, band in bands(image):
        columns = (left, 0, right, band.height)
        ready = band.convert(mode).convert(averaged)
        narrow.paste(
            ready.resize((size[0], band.height), Image.Resampling.LANCZOS, box=columns), (0, row)
        )
    rows = (0, top, size[0], bottom)
    return narrow.resize(size, Image.Resampling.LANCZOS, box=rows).convert(mode)

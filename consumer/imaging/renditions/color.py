"""Converts a rendition to sRGB."""

from functools import cache
from io import BytesIO

from PIL import Image, ImageCms


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image as RGB, or as RGBA if a pixel of it is transparent.

    image: of the mode L, LA, RGB, RGBX, RGBA, CMYK or LAB. profile: its colour profile, None for sRGB.
    """
    if image.mode == "RGBX":
        image = image.convert("RGB")
    alpha = image.getchannel("A") if image.mode in {"LA", "RGBA"} else None
    if alpha is not None:
        image = image.convert(image.mode.removesuffix("A"))
    transform = _transform(profile, image.mode)
    color = image.convert("RGB") if transform is None else transform.apply(image)
    if alpha is not None and alpha.getextrema() != (255, 255):
        color.putalpha(alpha)
    return color


def _transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the conversion to sRGB. None without a usable profile: the image is taken for sRGB, as browsers do."""
    if not profile and mode != "LAB":
        return None
    try:
        return ImageCms.ImageCmsTransform(
            _source_profile(profile, mode),
            _srgb(),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None


def _source_profile(profile: bytes | None, mode: str) -> ImageCms.ImageCmsProfile:
    if mode == "LAB":
        return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return ImageCms.ImageCmsProfile(BytesIO(profile or b""))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))

"""Makes renditions of an image: shrink, turn upright, convert to sRGB, encode without metadata.

The bytes depend on the image and the preset only, not on the other renditions that are made of it.
"""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image, ImageCms

from consumer.imaging.decode import decode_first_frame
from consumer.imaging.fingerprint import TRANSPOSED
from consumer.imaging.fingerprint.rgb import WIDE_MODES, to_gray
from consumer.imaging.formats import JPEG, PNG, TIFF, Format
from consumer.imaging.limits import estimate_decode_bytes
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.reduction import reduce_image
from consumer.imaging.result import (
    RENDITIONS_BYTES_MAX,
    FailedRendition,
    MadeRendition,
    RenditionResult,
)
from consumer.imaging.structure import ImageStructure
from core.errors import ImageFailure, Internal, TooLarge
from core.model.rendition import Presets, RenditionPreset

_DRAFT_SCALES = (8, 4, 2)
"""Divisors of the size at which libjpeg can decode."""
_REDUCING_GAP = 2
"""Whole pixels are averaged down to this multiple of the size at least, then the rest is resampled."""
_QUARTER_TURNS = range(5, 9)

# One thread each: the bytes are the same on every machine. Method 4 of WebP, the default, takes twice the time of
# method 2 for 3 % fewer bytes (photographs at 256 pixels).
_ENCODERS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": {"optimize": True},
    "WEBP": {"method": 2},
    "AVIF": {"codec": "aom", "speed": 8, "max_threads": 1, "autotiling": False},
}


# Measured on noise, the worst case. tests/integration/test_decode_pool_renditions.py checks the memory.
_ENCODER_BYTES = {"JPEG": 16, "WEBP": 64, "AVIF": 72}
"""Memory by pixel of the rendition: the encoder's, and three copies of the pixels."""
_ENCODED_BYTES, _HEADER_BYTES = 4, 2_048
"""Size of a rendition by pixel, on noise at quality 100, and of its headers."""
_ENCODER_WORK = {"JPEG": 1, "WEBP": 10, "AVIF": 40}
"""Time by pixel of the rendition, in the unit of `limits.estimate_work`."""
_CONVERSION_BYTES, _WIDE_CONVERSION_BYTES = 8, 32
"""Memory by pixel of the decoded image: the copies that `_resampleable` and the resampling make."""


@dataclass(frozen=True, slots=True)
class RenditionCost:
    """Estimates for all renditions of an image. memory_bytes: the peak, the body included.

    work_pixels: the time, in the unit of `limits.estimate_work`.
    """

    memory_bytes: int
    work_pixels: int


@dataclass(frozen=True, slots=True)
class Crop:
    """The centred part of an image that a rendition shows, and the size at which it shows it. In pixels."""

    part: tuple[float, float]
    size: tuple[int, int]

    @classmethod
    def of(cls, image: tuple[int, int], preset: RenditionPreset, *, turned: bool) -> "Crop":
        """Fit an image of this width and height into the preset's box. `turned`: it is displayed on its side.

        Nothing is enlarged. An image that is smaller than a `cover` box is cut to the box's aspect ratio.
        """
        width, height = image
        box_width, box_height = (
            (preset.height, preset.width) if turned else (preset.width, preset.height)
        )
        scales = (box_width / width, box_height / height)
        if preset.fit == "contain":
            scale = min(1.0, *scales)
            return cls((width, height), (_pixels(width * scale), _pixels(height * scale)))
        scale = min(1.0, max(scales))
        shrunk = min(1.0, width / box_width, height / box_height)
        shown = (box_width * shrunk, box_height * shrunk)
        return cls((shown[0] / scale, shown[1] / scale), (_pixels(shown[0]), _pixels(shown[1])))

    def draft_scale(self) -> int:
        """Return the largest divisor of libjpeg that leaves at least as many pixels as the rendition has."""
        shrinks = [part // side for part, side in zip(self.part, self.size, strict=True)]
        return next((scale for scale in _DRAFT_SCALES if min(shrinks) >= scale), 1)

    def resize(self, image: Image.Image, full: tuple[int, int]) -> Image.Image:
        """Cut the part out of `image` and shrink it. `full` is the size that the crop was made for."""
        width, height = self._part_of(image, full)
        factor = int(min(width / self.size[0], height / self.size[1]) / _REDUCING_GAP)
        if factor > 1:
            image = reduce_image(image, (factor, factor))
            width, height = self._part_of(image, full)
        left, top = (image.width - width) / 2, (image.height - height) / 2
        box = (left, top, left + width, top + height)
        return image.resize(self.size, Image.Resampling.LANCZOS, box=box)

    def _part_of(self, image: Image.Image, full: tuple[int, int]) -> tuple[float, float]:
        """Return width and height of the part in an image of another scale."""
        return self.part[0] * image.width / full[0], self.part[1] * image.height / full[1]


def _pixels(length: float) -> int:
    return max(1, round(length))


def make_renditions(
    image_format: Format,
    body: bytes,
    structure: ImageStructure,
    presets: Presets,
    orientation: int,
) -> tuple[RenditionResult, ...]:
    """Make a rendition for each preset, from the first frame. One that fails does not affect the others.

    body: was accepted; `structure` is that of this body, or of the same body with other metadata.
    MemoryError is not caught.
    """
    if not presets:
        return ()
    turned = 1 if image_format is TIFF else orientation  # Pillow turns a TIFF when it loads it.
    profile = _read_profile(image_format, body)
    made: dict[str, RenditionResult] = {}
    budget = RENDITIONS_BYTES_MAX
    for scale, names in _by_draft_scale(image_format, structure, presets, turned).items():
        least = structure.width // scale, structure.height // scale
        try:
            image = decode_first_frame(image_format, body, structure, least)
        except ImageFailure as failure:
            made |= {
                name: FailedRendition(name, failure.code.value, str(failure)) for name in names
            }
            continue
        full = (structure.width, structure.height) if image_format is JPEG else image.size
        profile = profile or image.info.get("icc_profile")
        source = _Source(_resampleable(image), full, turned, profile)
        for name in names:
            made[name] = result = _make(source, name, presets[name], budget)
            budget -= len(result.body) if isinstance(result, MadeRendition) else 0
    return tuple(made[name] for name in presets)


def estimate_cost(
    image_format: Format,
    structure: ImageStructure,
    body_size: int,
    policy: ImagePolicy,
    names: Sequence[str],
) -> RenditionCost:
    """Estimate what `make_renditions` needs for these presets of the policy."""
    if not names:
        return RenditionCost(0, 0)
    draft, full = (
        estimate_decode_bytes(
            image_format, structure, body_size, replace(policy, verification=verification)
        )
        for verification in ("draft", "full")
    )
    size = structure.width, structure.height
    by_pixel = _WIDE_CONVERSION_BYTES if structure.mode in WIDE_MODES else _CONVERSION_BYTES
    presets = {name: policy.presets[name] for name in names}
    scale = min(_by_draft_scale(image_format, structure, presets, 1))
    memory = draft + (full - draft + structure.largest * by_pixel) // scale**2
    encoded = made = work = 0
    for preset in presets.values():
        width, height = Crop.of(size, preset, turned=False).size
        encoded = max(encoded, width * height * _ENCODER_BYTES[preset.format])
        made += width * height * _ENCODED_BYTES + _HEADER_BYTES
        work += width * height * _ENCODER_WORK[preset.format]
    return RenditionCost(memory + encoded + min(made, RENDITIONS_BYTES_MAX), work)


def _by_draft_scale(
    image_format: Format, structure: ImageStructure, presets: Presets, orientation: int
) -> dict[int, list[str]]:
    """Return the presets by the divisor at which the image is decoded for them: 1, except for JPEG."""
    if image_format is not JPEG:
        return {1: list(presets)}
    groups: dict[int, list[str]] = {}
    for name, preset in presets.items():
        size = structure.width, structure.height
        crop = Crop.of(size, preset, turned=orientation in _QUARTER_TURNS)
        groups.setdefault(crop.draft_scale(), []).append(name)
    return groups


def _read_profile(image_format: Format, body: bytes) -> bytes | None:
    """Return the colour profile of a format whose decoder does not give it. None if it cannot be read."""
    if image_format not in {JPEG, PNG}:
        return None
    with (
        suppress(ImageFailure),
        translate_decoder_errors(),
        open_image(image_format, body) as image,
    ):
        profile: bytes | None = image.info.get("icc_profile")
        return profile
    return None


def _resampleable(image: Image.Image) -> Image.Image:
    """Return an image in a mode whose pixels can be averaged: L, LA, RGB, RGBX, RGBA, CMYK or LAB."""
    if image.mode in WIDE_MODES:
        return to_gray(image)
    if image.mode in {"P", "PA", "1"} or "transparency" in image.info:
        return image.convert("RGBA" if image.has_transparency_data else "RGB")
    if image.mode in {"L", "LA", "RGB", "RGBX", "RGBA", "CMYK", "LAB"}:
        return image
    return image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, "RGB"))


@dataclass(frozen=True, slots=True)
class _Source:
    """A decoded image. full: its size without a draft scale. profile: its colour profile, None for sRGB."""

    image: Image.Image
    full: tuple[int, int]
    orientation: int
    profile: bytes | None


def _make(source: _Source, name: str, preset: RenditionPreset, bytes_max: int) -> RenditionResult:
    try:
        crop = Crop.of(source.full, preset, turned=source.orientation in _QUARTER_TURNS)
        small = crop.resize(source.image, source.full)
        method = TRANSPOSED.get(source.orientation)
        upright = small if method is None else small.transpose(method)
        shown = _to_srgb(upright, source.profile)
        body = _encode(shown, preset)
    except MemoryError:
        raise
    except Exception as fault:  # noqa: BLE001  whatever it is, it concerns this rendition only
        warnings.warn(f"rendition {name} failed: {fault!r}", stacklevel=2)
        return FailedRendition(name, Internal.code.value, Internal.summary)
    if len(body) > bytes_max:
        failure = TooLarge(f"{RENDITIONS_BYTES_MAX:,} bytes for all renditions of an image")
        return FailedRendition(name, failure.code.value, str(failure))
    return MadeRendition(name, body, *shown.size)


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return an image as RGB, or as RGBA if a pixel of it is transparent."""
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


def _encode(image: Image.Image, preset: RenditionPreset) -> bytes:
    if preset.format == "JPEG" and image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    image.info = {}  # Some of Pillow's encoders write the metadata in it.
    encoded = BytesIO()
    image.save(encoded, preset.format, quality=preset.quality, **_ENCODERS[preset.format])
    return encoded.getvalue()

"""Makes renditions of an image: shrink, turn upright, convert to sRGB, encode without metadata.

The bytes depend on the image and the preset only, not on the other renditions that are made of it.
"""

import warnings
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

from consumer.imaging.decode import decode_first_frame
from consumer.imaging.fingerprint import TRANSPOSED
from consumer.imaging.fingerprint.rgb import WIDE_MODES, to_gray
from consumer.imaging.formats import JPEG, PNG, TIFF, Format
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.renditions.color import to_srgb
from consumer.imaging.renditions.crop import QUARTER_TURNS, Crop, by_draft_scale
from consumer.imaging.renditions.encode import encode
from consumer.imaging.renditions.shrink import shrink_image
from consumer.imaging.result import (
    RENDITIONS_BYTES_MAX,
    FailedRendition,
    MadeRendition,
    RenditionResult,
)
from consumer.imaging.structure import ImageStructure
from core.errors import ImageFailure, Internal, TooLarge
from core.model.rendition import Presets, RenditionPreset


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
    shown = 1 if image_format is TIFF else orientation  # Pillow turns a TIFF when it loads it.
    made: dict[str, RenditionResult] = {}
    budget = RENDITIONS_BYTES_MAX
    scales = by_draft_scale(image_format, structure, presets, turned=shown in QUARTER_TURNS)
    for scale, names in scales.items():
        try:
            source = _open_source(image_format, body, structure, scale, shown)
        except ImageFailure as failure:
            made |= {
                name: FailedRendition(name, failure.code.value, str(failure)) for name in names
            }
            continue
        for name in names:
            made[name] = result = _make(source, name, presets[name], budget)
            budget -= len(result.body) if isinstance(result, MadeRendition) else 0
        del source  # Before the image is decoded at another scale.
    return tuple(made[name] for name in presets)


@dataclass(frozen=True, slots=True)
class _Source:
    """A decoded image. full: its size without a draft scale. profile: its colour profile, None for sRGB."""

    image: Image.Image
    full: tuple[int, int]
    orientation: int
    profile: bytes | None


def _open_source(
    image_format: Format, body: bytes, structure: ImageStructure, scale: int, orientation: int
) -> _Source:
    """Decode the first frame at a draft scale. Raises ImageFailure."""
    least = structure.width // scale, structure.height // scale
    image = decode_first_frame(image_format, body, structure, least)
    full = (structure.width, structure.height) if image_format is JPEG else image.size
    profile = _read_profile(image_format, body) or image.info.get("icc_profile")
    # Without the plug-in's object, which may hold the body and the decoder with its planes.
    pixels = to_gray(image) if image.mode in WIDE_MODES else image._new(image.im)  # noqa: SLF001  Image.copy copies
    return _Source(pixels, full, orientation, profile)


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


def _make(source: _Source, name: str, preset: RenditionPreset, bytes_max: int) -> RenditionResult:
    try:
        image = _show(source, preset)
        body = encode(image, preset)
    except MemoryError:
        raise
    except Exception as fault:  # noqa: BLE001  whatever it is, it concerns this rendition only
        warnings.warn(f"rendition {name} failed: {fault!r}", stacklevel=2)
        return FailedRendition(name, Internal.code.value, Internal.summary)
    if len(body) > bytes_max:
        failure = TooLarge(f"{RENDITIONS_BYTES_MAX:,} bytes for all renditions of an image")
        return FailedRendition(name, failure.code.value, str(failure))
    return MadeRendition(name, body, *image.size)


def _show(source: _Source, preset: RenditionPreset) -> Image.Image:
    """Return the pixels of a rendition: small, upright, in sRGB."""
    crop = Crop.of(source.full, preset, turned=source.orientation in QUARTER_TURNS)
    image = shrink_image(source.image, crop)
    method = TRANSPOSED.get(source.orientation)
    if method is not None:
        image = image.transpose(method)
    return to_srgb(image, source.profile)

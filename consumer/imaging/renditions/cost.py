"""The memory and the time that the renditions of an image take. Arithmetic on its structure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from consumer.imaging.formats import BMP, GIF, TIFF, WEBP, Format
from consumer.imaging.limits import BYTES_PER_PIXEL, estimate_decode_bytes, heap_bytes
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.reduction import band_rows
from consumer.imaging.renditions.crop import Crop, by_draft_scale
from consumer.imaging.renditions.encode import (
    ENCODED_BYTES,
    ENCODER_BYTES,
    ENCODER_WORK,
    HEADER_BYTES,
)
from consumer.imaging.result import RENDITIONS_BYTES_MAX
from consumer.imaging.structure import ImageStructure
from core.model.rendition import Presets

_PIXEL_BYTES = 4
"""The most that Pillow takes for a pixel."""
_MAYBE_WIDE = frozenset({"gray, 16 bits", "several samples, or 32 bits"})
"""Layouts of images that may be converted to gray as a whole: one byte for each pixel more."""
_BAND_BYTES, _WIDE_BAND_BYTES = 12, 64
"""Memory by pixel of a band: its copies while it is converted."""
_MAYBE_TRANSPARENT = frozenset(
    {
        (GIF, "palette"),
        (GIF, "palette, with disposal"),
        (WEBP, "lossy or lossless"),
        (TIFF, "several samples, or 32 bits"),
        (BMP, "RGB"),
    }
)
"""Layouts that do not tell whether there is transparency."""


@dataclass(frozen=True, slots=True)
class RenditionCost:
    """Estimates for all renditions of an image. memory_bytes: the peak, the body included.

    work_pixels: the time, in the unit of `limits.estimate_work`.
    """

    memory_bytes: int
    work_pixels: int


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
    presets = {name: policy.presets[name] for name in names}
    header, draft, full = (
        estimate_decode_bytes(
            image_format, structure, body_size, replace(policy, verification=verification)
        )
        for verification in ("header", "draft", "full")
    )
    decoding = _Decoding(image_format, structure, header, draft, full)
    # Whether the image is displayed on its side is not known yet.
    memory = max(_peak(decoding, presets, turned=turned) for turned in (False, True))
    work = 0
    for preset in presets.values():
        width, height = Crop.of((structure.width, structure.height), preset, turned=False).size
        work += width * height * ENCODER_WORK[preset.format]
    return RenditionCost(memory, work)


@dataclass(frozen=True, slots=True)
class _Decoding:
    """The memory of inspecting an image by the depth of verification, in bytes."""

    format: Format
    structure: ImageStructure
    header: int
    draft: int
    full: int


def _peak(decoding: _Decoding, presets: Presets, *, turned: bool) -> int:
    """Return the peak of decoding the image, or of shrinking it and encoding a rendition, whichever is more."""
    image_format, structure = decoding.format, decoding.structure
    transparent = _may_be_transparent(image_format, structure)
    heap = heap_bytes(image_format, decoding.full - decoding.header)
    scales = by_draft_scale(image_format, structure, presets, turned=turned)
    crops = {
        name: Crop.of((structure.width, structure.height), preset, turned=turned)
        for name, preset in presets.items()
    }
    made = [crop.size[0] * crop.size[1] * ENCODED_BYTES + HEADER_BYTES for crop in crops.values()]
    # One is being made. The image is decoded before all others, unless it is decoded at several scales.
    others = min(sum(made) - max(made), RENDITIONS_BYTES_MAX)
    peak = 0
    for scale, names in scales.items():
        decoded = decoding.draft + (decoding.full - decoding.draft) // scale**2
        peak = max(peak, decoded + (others if len(scales) > 1 else 0))
        size = -(-structure.width // scale), -(-structure.height // scale)
        pixels = size[0] * size[1]
        by_pixel = min(_PIXEL_BYTES, BYTES_PER_PIXEL[image_format][structure.layout])
        held = decoding.header + round(pixels * by_pixel) + heap
        if structure.layout in _MAYBE_WIDE:
            band = min(pixels, size[0] * band_rows(size[0]))
            peak = max(peak, held + pixels + band * _WIDE_BAND_BYTES)
        for name in names:
            width, height = crops[name].size
            encoding = width * height * ENCODER_BYTES[presets[name].format][transparent]
            peak = max(peak, held + others + max(encoding, _shrinking_bytes(crops[name], size)))
    return peak


def _shrinking_bytes(crop: Crop, size: tuple[int, int]) -> int:
    """Return the memory of the copies that `shrink_image` makes of an image of this size."""
    factor = crop.reduction(size)
    columns, rows = -(-size[0] // factor), -(-size[1] // factor)
    reduced = columns * rows if factor > 1 else 0
    half_shrunk = max(crop.size[0] * rows, columns * crop.size[1])
    shown = crop.size[0] * crop.size[1]
    band = min(size[0] * size[1], size[0] * band_rows(size[0], factor))
    return (reduced + half_shrunk + shown) * _PIXEL_BYTES + band * _BAND_BYTES


def _may_be_transparent(image_format: Format, structure: ImageStructure) -> bool:
    return (
        (image_format, structure.layout) in _MAYBE_TRANSPARENT
        or "alpha" in structure.layout
        or any(each.name == b"tRNS" for each in structure.segments)
    )

"""What a picture costs, and whether that is within the policy. Plain arithmetic on its layout."""

from PIL import Image

from consumer.imaging.formats import AVIF, BMP, GIF, JPEG, PNG, TIFF, WEBP, Format
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure.segments import Layout
from core.errors import CorruptImage, TooManyPixels

_BODY_COPIES = 3
"""The body, its cleaned copy, and the one that some plug-ins take."""
_FIXED = 1_000_000
"""Bytes for parsed tables and the small picture."""
_BYTES_PER_PIXEL = {JPEG: 4, PNG: 4, GIF: 20, WEBP: 20, AVIF: 16, TIFF: 12, BMP: 4}
"""Peak of a whole decode as measured, rounded up: the picture plus each decoder's own copies."""
_ANIMATED_PNG = 20
_DRAFT_SCALE = 64
"""A draft has an eighth of the width and of the height."""


def charge(layout: Layout, policy: ImagePolicy) -> None:
    """Raises CorruptImage for an empty picture and TooManyPixels beyond the policy."""
    if layout.width < 1 or layout.height < 1:
        raise CorruptImage("it has no pixels")
    if layout.frames > policy.max_frames:
        raise TooManyPixels(f"{layout.frames:,} frames, at most {policy.max_frames:,}")
    frame_limit = min(policy.max_pixels, Image.MAX_IMAGE_PIXELS or policy.max_pixels)
    if layout.largest > frame_limit:
        raise TooManyPixels(f"{layout.largest:,} in a frame, at most {frame_limit:,}")
    if layout.pixels > policy.max_pixels:
        raise TooManyPixels(f"{layout.pixels:,} in all frames, at most {policy.max_pixels:,}")


def decode_bytes(kind: Format, layout: Layout, body_size: int, policy: ImagePolicy) -> int:
    """Estimated peak memory in bytes of inspecting a body of `body_size` bytes."""
    return _FIXED + body_size * _BODY_COPIES + _pixel_bytes(kind, layout, policy)


def _pixel_bytes(kind: Format, layout: Layout, policy: ImagePolicy) -> int:
    if policy.verification == "header":
        return 0
    if kind == PNG and layout.frames > 1:
        return layout.largest * _ANIMATED_PNG
    if kind != JPEG:
        return layout.largest * _BYTES_PER_PIXEL[kind]
    coefficients = layout.largest * layout.coefficients
    shrunk = _DRAFT_SCALE if policy.verification == "draft" else 1
    return coefficients + layout.largest * _BYTES_PER_PIXEL[JPEG] // shrunk

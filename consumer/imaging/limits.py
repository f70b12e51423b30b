"""Limits on an image, and the memory that decoding it takes. Arithmetic on its structure."""

from PIL import Image

from consumer.imaging.formats import JPEG, PNG, Format
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure import ImageStructure
from core.errors import CorruptImage, TooManyPixels

_BODY_COPIES = 3
"""The body, its copy without location, and the copy that some plug-ins of Pillow make."""
_FIXED_BYTES = 1_000_000
"""Parsed tables and the thumbnail."""
_ANIMATED_PNG_BYTES_PER_PIXEL = 20
_DRAFT_AREA = 64
"""A draft has an eighth of the width and of the height."""


def check_limits(structure: ImageStructure, policy: ImagePolicy) -> None:
    """Raise CorruptImage for an image without pixels, and TooManyPixels for one over the policy."""
    if structure.width < 1 or structure.height < 1:
        raise CorruptImage("it has no pixels")
    frames = structure.frames + structure.hidden_frames
    if frames > policy.max_frames:
        raise TooManyPixels(f"{frames:,} frames, at most {policy.max_frames:,}")
    frame_limit = min(policy.max_pixels, Image.MAX_IMAGE_PIXELS or policy.max_pixels)
    if structure.largest > frame_limit:
        raise TooManyPixels(f"{structure.largest:,} in a frame, at most {frame_limit:,}")
    if structure.pixels > policy.max_pixels:
        raise TooManyPixels(f"{structure.pixels:,} in all frames, at most {policy.max_pixels:,}")


def estimate_decode_bytes(
    image_format: Format, structure: ImageStructure, body_size: int, policy: ImagePolicy
) -> int:
    """Estimate the peak memory in bytes of inspecting a body of `body_size` bytes."""
    return _FIXED_BYTES + body_size * _BODY_COPIES + _pixel_bytes(image_format, structure, policy)


def _pixel_bytes(image_format: Format, structure: ImageStructure, policy: ImagePolicy) -> int:
    if policy.verification == "header":
        return 0
    if image_format is PNG and structure.frames + structure.hidden_frames > 1:
        return structure.largest * _ANIMATED_PNG_BYTES_PER_PIXEL
    decoded = structure.largest * image_format.bytes_per_pixel
    if image_format is not JPEG:
        return decoded
    coefficients = structure.largest * structure.coefficients
    return coefficients + decoded // (_DRAFT_AREA if policy.verification == "draft" else 1)

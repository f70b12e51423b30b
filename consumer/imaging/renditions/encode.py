"""Encodes a rendition, and the memory and the time that this takes."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from PIL import Image

from core.model.rendition import RenditionPreset

# One thread each: the bytes are the same on every machine. Method 4 of WebP, the default, takes twice the time of
# method 2 for 3 % fewer bytes (photographs at 256 pixels).
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "JPEG": {"optimize": True},
    "WEBP": {"method": 2},
    "AVIF": {"codec": "aom", "speed": 8, "max_threads": 1, "autotiling": False},
}

ENCODER_BYTES: Mapping[str, tuple[int, int]] = {
    "JPEG": (10, 18),
    "WEBP": (20, 44),
    "AVIF": (40, 44),
}
"""Memory by pixel of an opaque rendition, and of one with transparency: the encoder's, and the copies of the pixels.

Measured on noise by tests/unit/consumer/imaging/test_rendition_memory.py.
"""
ENCODED_BYTES, HEADER_BYTES = 4, 2_048
"""Size of a rendition by pixel, on noise at quality 100, and of its headers."""
ENCODER_WORK: Mapping[str, int] = {"JPEG": 1, "WEBP": 10, "AVIF": 40}
"""Time by pixel of the rendition, in the unit of `limits.estimate_work`."""


def encode(image: Image.Image, preset: RenditionPreset) -> bytes:
    """Return an RGB or RGBA image in the format of the preset. In a JPEG, what is transparent becomes white."""
    if preset.format == "JPEG" and image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    image.info = {}  # Some of Pillow's encoders write the metadata in it.
    encoded = BytesIO()
    image.save(encoded, preset.format, quality=preset.quality, **_OPTIONS[preset.format])
    return encoded.getvalue()

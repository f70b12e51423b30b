"""Metadata of images, for tests that examine none."""

from dataclasses import replace

from core.model.image import ImageMetadata, RemovedPart

METADATA = ImageMetadata(
    format="JPEG",
    media_type="image/jpeg",
    width=640,
    height=480,
    mode="RGB",
    frames=1,
    bytes=12_345,
    sha256="a" * 64,
    source_sha256="a" * 64,
    perceptual_hash="0" * 16,
    dominant_color="#336699",
    capture_time="",
    camera="",
    had_location=False,
)
"""Of a photograph without EXIF."""
FULL_METADATA = replace(
    METADATA,
    format="PNG",
    media_type="image/png",
    frames=3,
    source_sha256="b" * 64,
    perceptual_hash="0123456789abcdef",
    capture_time="2024-05-06T07:08:09+02:00",
    camera="Häßelblad 500",
    had_location=True,
    animation_duration_ms=250,
    removed=(RemovedPart.LOCATION, RemovedPart.TRAILER),
)
"""No member has its default value."""


def as_examined(metadata: ImageMetadata) -> ImageMetadata:
    """Return metadata as a decoder answers it: without the members that the worker computes."""
    return replace(metadata, bytes=0, sha256="", source_sha256="")

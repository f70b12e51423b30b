"""Decoding every frame, one at a time, and what is seen on the way."""

from dataclasses import dataclass

from PIL import ImageFile

from consumer.imaging import location, perceptual
from consumer.imaging.formats import AVIF, JPEG, PNG, TIFF, WEBP, Format
from consumer.imaging.location import Cleaned
from consumer.imaging.pillow import decoder_faults, opened
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure import Layout
from core.errors import CorruptImage, TooManyPixels

_DRAFT_SCALE = 8
_DRAFT_SIDE_MIN = 32
_COUNTED_AT_OPENING = frozenset({PNG, WEBP, AVIF})


@dataclass(frozen=True, slots=True)
class Decoded:
    """mode: Pillow's name of the pixel format. The other two are empty where nothing is decoded."""

    mode: str
    perceptual_hash: str = ""
    dominant_color: str = ""


def decode(
    kind: Format, cleaned: Cleaned, layout: Layout, policy: ImagePolicy, orientation: int
) -> Decoded:
    """Decodes what will be stored, to its last frame.

    Raises CorruptImage for what the decoder reports, TooManyPixels where a frame turns out larger
    than the layout said, LocationNotRemovable where a location has survived. An end marker that
    comes too early, or a scan filled with zeros, is reported by no decoder and goes undetected.
    """
    with decoder_faults(), opened(kind, cleaned.body) as image:
        mode = image.mode
        if cleaned.had_location:
            location.confirm(image)
        if kind in _COUNTED_AT_OPENING and getattr(image, "n_frames", 1) != layout.frames:
            raise CorruptImage("its frames cannot be counted")
        if policy.verification == "header":
            return Decoded(mode)
        if kind == JPEG and policy.verification == "draft":
            _shrink(image)
        _load(image, layout)
        # Pillow turns a TIFF upright as it loads it.
        small = perceptual.small_copy(image, 1 if kind == TIFF else orientation)
        for index in range(1, layout.frames):
            image.seek(index)
            _load(image, layout)
    return Decoded(mode, perceptual.difference_hash(small), perceptual.dominant_color(small))


def _shrink(image: ImageFile.ImageFile) -> None:
    """Down to an eighth; all entropy-coded data is still read. Small pictures shrink less."""
    size = (
        max(image.width // _DRAFT_SCALE, min(image.width, _DRAFT_SIDE_MIN)),
        max(image.height // _DRAFT_SCALE, min(image.height, _DRAFT_SIDE_MIN)),
    )
    image.draft(None, size)


def _load(image: ImageFile.ImageFile, layout: Layout) -> None:
    if image.width * image.height > layout.largest:
        raise TooManyPixels("a frame is larger than the picture says")
    image.load()

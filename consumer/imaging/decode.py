"""Decodes every frame, one at a time, and computes hash and colour from the first."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from PIL import Image, ImageFile

from consumer.imaging import perceptual
from consumer.imaging.decoders import jpeg
from consumer.imaging.formats import JPEG, TIFF, Format
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.strip_location import StripResult, verify_stripped
from consumer.imaging.structure import ImageStructure
from core.errors import CorruptImage, TooManyPixels

_DRAFT_LEAST = (32, 32)
"""A draft of a small image is not smaller than this: the hash and the colour need some pixels."""


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """mode: Pillow's name of the pixel format. The others are empty if nothing was decoded."""

    mode: str
    perceptual_hash: str = ""
    dominant_color: str = ""


def decode(
    image_format: Format,
    stripped: StripResult,
    structure: ImageStructure,
    policy: ImagePolicy,
    orientation: int,
) -> DecodeResult:
    """Decode the body that will be stored, to its last frame.

    Raises CorruptImage if the decoder reports damage, TooManyPixels if a frame is larger than the
    structure says, and LocationNotRemovable if Pillow still finds a location.
    """
    if stripped.had_location:
        _verify_stripped(image_format, stripped.body)
    least = _DRAFT_LEAST if policy.verification == "draft" else None
    with (
        translate_decoder_errors(),
        _open_frames(image_format, stripped.body, structure, least) as (mode, frames),
    ):
        if policy.verification == "header":
            return DecodeResult(mode)
        # Pillow applies the orientation of a TIFF when it loads the image.
        turned = 1 if image_format is TIFF else orientation
        thumbnail = perceptual.make_thumbnail(next(frames), turned)
        for _ in frames:
            pass
    return DecodeResult(
        mode, perceptual.difference_hash(thumbnail), perceptual.dominant_color(thumbnail)
    )


def decode_first_frame(
    image_format: Format,
    body: bytes,
    structure: ImageStructure,
    least: tuple[int, int] | None = None,
) -> Image.Image:
    """Decode the first frame. JPEG in colour has the mode RGBX.

    least: width and height that suffice for a JPEG, see `decoders.jpeg.decode`. Other formats are decoded at full size.
    Raises CorruptImage and TooManyPixels.
    """
    with (
        translate_decoder_errors(),
        _open_frames(image_format, body, structure, least) as (_, frames),
    ):
        return next(frames)


@contextmanager
def _open_frames(
    image_format: Format, body: bytes, structure: ImageStructure, least: tuple[int, int] | None
) -> Iterator[tuple[str, Iterator[Image.Image]]]:
    """Give the mode of an image, and an iterator that decodes each frame. A frame is valid until the next one."""
    if image_format is JPEG:
        yield structure.mode, (jpeg.decode(body, structure, least) for _ in range(1))
        return
    with open_image(image_format, body) as image:
        if image_format.counts_frames_at_open and getattr(image, "n_frames", 1) != structure.frames:
            raise CorruptImage("its frames cannot be counted")
        yield image.mode, _load_frames(image, structure)


def _load_frames(image: ImageFile.ImageFile, structure: ImageStructure) -> Iterator[Image.Image]:
    for index in range(structure.frames):
        if index:
            image.seek(index)
        if image.width * image.height > structure.largest:
            raise TooManyPixels("a frame is larger than the image says")
        image.load()
        yield image


def _verify_stripped(image_format: Format, body: bytes) -> None:
    """Raise LocationNotRemovable if Pillow still finds a location. It finds none in metadata that it cannot read."""
    with (
        suppress(CorruptImage),
        translate_decoder_errors(),
        open_image(image_format, body) as image,
    ):
        verify_stripped(image)

"""Decodes every frame, one at a time, and computes hash and colour from the first."""

from dataclasses import dataclass

from PIL import ImageFile

from consumer.imaging import perceptual
from consumer.imaging.formats import JPEG, TIFF, Format
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.strip_location import StripResult, verify_stripped
from consumer.imaging.structure import ImageStructure
from core.errors import CorruptImage, TooManyPixels

_DRAFT_SCALE = 8
_DRAFT_SIDE_MIN = 32


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

    No decoder reports an end marker that comes too early, or a scan filled with zeros: this damage
    is not detected.
    Raises CorruptImage if the decoder reports damage, TooManyPixels if a frame is larger than the
    structure says, and LocationNotRemovable if Pillow still finds a location.
    """
    with translate_decoder_errors(), open_image(image_format, stripped.body) as image:
        mode = image.mode
        if stripped.had_location:
            verify_stripped(image)
        if image_format.counts_frames_at_open and getattr(image, "n_frames", 1) != structure.frames:
            raise CorruptImage("its frames cannot be counted")
        if policy.verification == "header":
            return DecodeResult(mode)
        if image_format is JPEG and policy.verification == "draft":
            _shrink(image)
        _load(image, structure)
        # Pillow applies the orientation of a TIFF when it loads the image.
        thumbnail = perceptual.make_thumbnail(image, 1 if image_format is TIFF else orientation)
        for index in range(1, structure.frames):
            image.seek(index)
            _load(image, structure)
    return DecodeResult(
        mode, perceptual.difference_hash(thumbnail), perceptual.dominant_color(thumbnail)
    )


def _shrink(image: ImageFile.ImageFile) -> None:
    """Decode at down to an eighth of the size; all entropy-coded data is still read. Small images shrink less."""
    size = (
        max(image.width // _DRAFT_SCALE, min(image.width, _DRAFT_SIDE_MIN)),
        max(image.height // _DRAFT_SCALE, min(image.height, _DRAFT_SIDE_MIN)),
    )
    image.draft(None, size)


def _load(image: ImageFile.ImageFile, structure: ImageStructure) -> None:
    if image.width * image.height > structure.largest:
        raise TooManyPixels("a frame is larger than the image says")
    image.load()

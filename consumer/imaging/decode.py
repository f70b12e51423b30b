"""Decodes every frame, one at a time, and computes hash and colour from the first."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from PIL import Image, ImageFile

from consumer.imaging.decoders import gif, jpeg, png
from consumer.imaging.decoders.tiff_data import check_data
from consumer.imaging.fingerprint import fingerprint
from consumer.imaging.formats import GIF, JPEG, PNG, TIFF, Format
from consumer.imaging.pillow import open_image, translate_decoder_errors
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.strip_location import StripResult, verify_stripped
from consumer.imaging.structure import ImageStructure, read_structure
from core.errors import CorruptImage, TooManyPixels

_DRAFT_LEAST = (32, 32)
"""A draft of a small image is not smaller than this: the hash and the colour need some pixels."""


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """mode: Pillow's name of the pixel format. frames: those that are shown.

    The others are empty if nothing was decoded.
    """

    mode: str
    frames: int
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

    A PNG whose animation is damaged is a still image, if that is sound: readers show it.
    Raises CorruptImage if the decoder reports damage, TooManyPixels if a frame is larger than the
    structure says, and LocationNotRemovable if Pillow still finds a location.
    """
    if stripped.had_location and stripped.edits:
        _verify_stripped(image_format, stripped.body)
    try:
        return _decode(image_format, stripped.body, structure, policy, orientation)
    except CorruptImage:
        still = _still_structure(image_format, structure)
        if still is None:
            raise
    return _decode(image_format, stripped.body, still, policy, orientation)


def _still_structure(image_format: Format, structure: ImageStructure) -> ImageStructure | None:
    """Return the structure of the still image of an animated PNG, and None for others."""
    if image_format is PNG and _is_animated(structure):
        return replace(structure, frames=1, hidden_frames=0)
    return None


def _decode(
    image_format: Format,
    body: bytes,
    structure: ImageStructure,
    policy: ImagePolicy,
    orientation: int,
) -> DecodeResult:
    if policy.verification == "header" and structure.mode:
        return DecodeResult(structure.mode, structure.frames)
    least = _DRAFT_LEAST if policy.verification == "draft" else None
    with (
        translate_decoder_errors(),
        _open_frames(image_format, body, structure, least) as (mode, frames),
    ):
        if policy.verification == "header":
            return DecodeResult(mode, structure.frames)
        if image_format is TIFF:
            check_data(body)
        # Pillow applies the orientation of a TIFF when it loads the image.
        turned = 1 if image_format is TIFF else orientation
        perceptual_hash, color = fingerprint(next(frames), turned)
        deque(frames, maxlen=0)  # Holds no frame while the next is decoded.
    return DecodeResult(mode, structure.frames, perceptual_hash, color)


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
    try:
        with (
            translate_decoder_errors(),
            _open_frames(image_format, body, structure, least) as (_, frames),
        ):
            return next(frames)
    except CorruptImage:
        still = _still_structure(image_format, structure)
        if still is None:
            raise
    return decode_first_frame(image_format, body, still)


@contextmanager
def _open_frames(
    image_format: Format, body: bytes, structure: ImageStructure, least: tuple[int, int] | None
) -> Iterator[tuple[str, Iterator[Image.Image]]]:
    """Give the mode of an image, and an iterator that decodes each frame. A frame is valid until the next one."""
    if image_format is JPEG:
        yield structure.mode, (jpeg.decode(body, structure, least) for _ in range(1))
        return
    if image_format is PNG:
        yield structure.mode, _png_frames(body, structure)
        return
    if image_format is GIF:
        # The body may differ from the one that was read first: its location was removed.
        reread = read_structure(GIF, body)
        with open_image(GIF, gif.first_frame_copy(body, reread)) as image:
            yield image.mode, _gif_frames(image, body, reread)
        return
    with open_image(image_format, body) as image:
        if image_format.counts_frames_at_open and getattr(image, "n_frames", 1) != structure.frames:
            raise CorruptImage("its frames cannot be counted")
        yield image.mode, _load_frames(image, structure, structure.frames)


def _gif_frames(
    image: ImageFile.ImageFile, body: bytes, structure: ImageStructure
) -> Iterator[Image.Image]:
    yield from _load_frames(image, structure, 1)
    if structure.frames > 1:
        image.close()
        yield from gif.decode_later_frames(body, structure)


def _png_frames(body: bytes, structure: ImageStructure) -> Iterator[Image.Image]:
    # The body may differ from the one that was read first: its location was removed.
    reread = read_structure(PNG, body, accept_missing_end=structure.missing_end)
    animated = _is_animated(structure)
    if structure.hidden_frames or not animated:
        # Readers without animations show the still image, so it has to be sound.
        with open_image(PNG, png.still_copy(body, reread)) as image:
            image.load()
            png.check_rows(image, body, reread)
            if not animated:
                yield image
    if animated:
        with open_image(PNG, png.first_frame_copy(body, reread)) as image:
            yield from _load_frames(image, structure, 1)
        for copy in png.later_copies(body, reread):
            with open_image(PNG, copy) as image:
                yield from _load_frames(image, structure, 1)


def _is_animated(structure: ImageStructure) -> bool:
    return structure.frames + structure.hidden_frames > 1


def _load_frames(
    image: ImageFile.ImageFile, structure: ImageStructure, count: int
) -> Iterator[Image.Image]:
    for index in range(count):
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

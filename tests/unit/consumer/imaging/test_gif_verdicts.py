"""Stray bytes and a missing trailer are no damage to a GIF. Missing or damaged frames are."""

from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage
from core.model.image import ImageMetadata
from harness.images import sample, xmp_packet
from harness.metadata_blocks import gif_extension

TRAILER = b";"
CONTROL = b"!\xf9\4"


def animation() -> bytes:
    """Return two frames of noise, each with its graphic control."""
    frames = [Image.effect_noise((60, 50), sigma) for sigma in (20, 90)]
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return out.getvalue()


BODY = animation()
BETWEEN = BODY.rindex(CONTROL)
"""Offset of the second frame's graphic control."""


def metadata(body: bytes) -> ImageMetadata:
    return inspect(body, ImagePolicy()).metadata


def with_stray(stray: bytes, at: int = BETWEEN) -> bytes:
    return BODY[:at] + stray + BODY[at:]


@pytest.mark.parametrize("stray", [b"\0", bytes(200), b"text, more; text!", b"\xff\0\xff"])
@pytest.mark.parametrize("place", ["first", "between", "last"])
def test_stray_bytes_between_blocks_are_harmless(stray: bytes, place: str) -> None:
    """All frames are found, and the body is published as it is."""
    at = {"first": BODY.index(CONTROL), "between": BETWEEN, "last": len(BODY) - 1}[place]
    body = with_stray(stray, at)
    inspected = inspect(body, ImagePolicy())
    assert inspected.metadata.frames == 2
    assert inspected.metadata.perceptual_hash == metadata(BODY).perceptual_hash
    assert inspected.body == body


def test_stray_bytes_with_a_location_are_dropped() -> None:
    inspected = inspect(with_stray(b"stray" + xmp_packet()[:200]), ImagePolicy())
    assert inspected.metadata.had_location
    assert inspected.body == BODY


@pytest.mark.parametrize("end", [b"", b"\0\0", b"text"])
def test_a_missing_trailer_is_harmless(end: bytes) -> None:
    """Stray bytes at the end are no part of the image."""
    inspected = inspect(BODY[:-1] + end, ImagePolicy())
    assert inspected.metadata.frames == 2
    assert inspected.body == BODY[:-1]


@pytest.mark.parametrize("extension", [b"!\xff\0", b"!\xfe\0", b"!\x77\3abc\0", b"!\xf9\2\0\0\0"])
def test_an_odd_extension_is_harmless(extension: bytes) -> None:
    """Pillow misreads what follows an extension without sub-blocks."""
    assert metadata(with_stray(extension)).frames == 2


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "cut inside a frame": lambda body: body[:-40],
    "cut inside a frame, with a trailer": lambda body: body[:-40] + b"\0;",
    "cut before a frame": lambda body: body[: BETWEEN + 8],
    "cut inside a control": lambda body: body[: BETWEEN + 5],
    "data missing": lambda body: body[:2000] + body[2700:],
    "data of zeros": lambda body: body[:2000] + bytes(1000) + body[3000:],
    "a frame of zeros": lambda body: body[:BETWEEN] + bytes(len(body) - 1 - BETWEEN) + TRAILER,
    "invalid codes": lambda body: body[:2000] + b"\xff" * 100 + body[2100:],
    "no frame": lambda body: body[: body.index(CONTROL)] + TRAILER,
    "nothing after the screen": lambda body: body[:13],
    "many stray bytes": lambda body: body[:BETWEEN] + b"text" * 100 + body[BETWEEN:],
    "a frame without data": lambda body: body[:-1] + b",\0\0\0\0\1\0\1\0\0\2\0" + TRAILER,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_missing_or_damaged_frame_is_corrupt(damage: str) -> None:
    with pytest.raises(CorruptImage):
        metadata(DAMAGED[damage](BODY))


def test_a_control_after_the_last_frame_is_harmless() -> None:
    """With a trailer, nothing is missing."""
    assert metadata(BODY[:-1] + BODY[BETWEEN : BETWEEN + 8] + TRAILER).frames == 2


def test_extensions_are_published_unchanged() -> None:
    """Pillow's copy lacks them, the published body does not."""
    body = with_stray(gif_extension(b"\xfe", b"A comment"))
    assert inspect(body, ImagePolicy()).body == body
    assert metadata(sample("rocket-animated.gif")).frames == 6

from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, Verification
from core.errors import CorruptImage, TooManyPixels
from harness.images import gradient_image, jpeg_segment, png_chunk, sample, truncated

SAMPLES = [
    "portrait-rotated.jpg",
    "rocket-progressive.jpg",
    "astronaut.png",
    "rocket-animated.gif",
    "coffee.webp",
    "cat-animated.webp",
    "cat.avif",
    "cat.heic",
    "flower.tiff",
    "astronaut.bmp",
]
MODES: list[Verification] = ["draft", "full", "header"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_image_is_corrupt(name: str, fraction: float, mode: Verification) -> None:
    """An image cut at any point is CORRUPT_IMAGE, even if only its header is verified."""
    with pytest.raises(CorruptImage):
        inspect(truncated(sample(name), fraction), ImagePolicy(verification=mode))


@pytest.mark.parametrize(
    "name", [each for each in SAMPLES if not each.endswith(("avif", "heic", "tiff", "bmp", "gif"))]
)
def test_a_missing_last_byte_is_detected(name: str) -> None:
    """Formats with an end marker are CORRUPT_IMAGE without its last byte. GIF needs none."""
    with pytest.raises(CorruptImage):
        inspect(sample(name)[:-1], ImagePolicy())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF"])
def test_damage_inside_the_pixels_is_detected_by_decoding(kind: str) -> None:
    """If the structure is complete but the pixel data is damaged, the decoder reports it."""
    body = bytearray(gradient_image(kind, (256, 256)))
    middle = len(body) // 2
    if kind == "TIFF":
        out = BytesIO()
        Image.linear_gradient("L").save(out, "TIFF", compression="tiff_adobe_deflate")
        body, middle = bytearray(out.getvalue()), 20
    damage = b"\xff\xc4\x00\x04\x77\x77" if kind == "JPEG" else b"\x5a" * 24
    if kind == "GIF":
        middle, damage = body.index(b",\0\0\0\0") + 10, b"\x0d"
    if kind == "WEBP":
        middle = 30
    body[middle : middle + len(damage)] = damage
    with pytest.raises(CorruptImage):
        inspect(bytes(body), ImagePolicy())


def test_header_verification_does_not_check_pixels() -> None:
    """`header` accepts damage that only decoding detects, and computes nothing from pixels."""
    body = bytearray(sample("astronaut.png"))
    middle = len(body) // 2
    body[middle : middle + 16] = bytes(16)
    with pytest.raises(CorruptImage):
        inspect(bytes(body), ImagePolicy())
    metadata = inspect(bytes(body), ImagePolicy(verification="header")).metadata
    assert (metadata.mode, metadata.width, metadata.height) == ("RGB", 200, 200)
    assert (metadata.perceptual_hash, metadata.dominant_color) == ("", "")


def test_too_many_scans_are_rejected() -> None:
    """A progressive JPEG with hundreds of scans is rejected before it is decoded."""
    body = sample("rocket-progressive.jpg")
    scan = jpeg_segment(0xDA, b"\x01\x01\x00\x00\x3f\x00")
    with pytest.raises(TooManyPixels):
        inspect(body[:-2] + scan * 200 + body[-2:], ImagePolicy())


def test_a_second_frame_header_is_corrupt() -> None:
    """A JPEG cannot show one size to the limits and another to the decoder."""
    body = sample("portrait-rotated.jpg")
    at = body.index(b"\xff\xc0")
    header = jpeg_segment(0xC0, b"\x08\x00\x01\x00\x01\x01\x01\x11\x00")
    with pytest.raises(CorruptImage):
        inspect(body[:at] + header + body[at:], ImagePolicy())


@pytest.mark.parametrize(
    "body",
    [
        gradient_image("PNG")[:8]
        + png_chunk(b"tEXt", b"a\0b") * 120_000
        + gradient_image("PNG")[8:],
        b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 120_000 + b";",
        b"\xff\xd8" + b"\xff\xfe\0\2" * 120_000 + b"\xff\xd9",
    ],
    ids=["png", "gif", "jpeg"],
)
def test_very_many_segments_are_rejected(body: bytes) -> None:
    """A body of very many tiny segments is rejected after a bounded walk."""
    with pytest.raises(CorruptImage):
        inspect(body, ImagePolicy())

"""A missing end marker is refused by default. If the policy accepts it, all pixels must be there."""

from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage
from harness.images import gradient_image, jpeg_with_gps, png_chunk, png_with_location_text, sample

ACCEPTING = ImagePolicy(accept_missing_end=True)
SCAN = b"\xff\xda"
PROGRESSIVE = sample("rocket-progressive.jpg")
END_SIZE = 12
"""Bytes of an IEND chunk."""


def jpeg() -> bytes:
    out = BytesIO()
    Image.effect_noise((80, 60), 90).save(out, "JPEG")
    return out.getvalue()


@pytest.mark.parametrize("body", [jpeg(), PROGRESSIVE], ids=["sequential", "progressive"])
def test_a_jpeg_without_its_end_marker_is_published_as_it_is(body: bytes) -> None:
    with pytest.raises(CorruptImage, match="end marker"):
        inspect(body[:-2], ImagePolicy())
    inspected = inspect(body[:-2], ACCEPTING)
    assert inspected.body == body[:-2]
    assert inspected.metadata.perceptual_hash == inspect(body, ACCEPTING).metadata.perceptual_hash


@pytest.mark.parametrize("missing", [1, 11, 200])
def test_a_missing_end_is_more_than_a_marker_that_is_cut(missing: int) -> None:
    """One byte of the marker may remain. Without the last bytes of the scan, pixels are missing."""
    cut = jpeg()[:-missing]
    if missing == 1:
        assert inspect(cut, ACCEPTING).body == cut
    else:
        with pytest.raises(CorruptImage):
            inspect(cut, ACCEPTING)


def scan_offsets(body: bytes) -> list[int]:
    offsets, at = [], body.find(SCAN)
    while at >= 0:
        offsets.append(at)
        at = body.find(SCAN, at + 2)
    return offsets


@pytest.mark.parametrize("scan", range(len(scan_offsets(PROGRESSIVE))))
def test_a_progressive_jpeg_without_its_last_scans_is_corrupt(scan: int) -> None:
    """Each scan is whole, but some coefficients are missing, or their lowest bits. An end marker changes nothing."""
    cut = PROGRESSIVE[: scan_offsets(PROGRESSIVE)[scan]]
    with pytest.raises(CorruptImage):
        inspect(cut, ACCEPTING)
    with pytest.raises(CorruptImage, match="lacks a scan"):
        inspect(cut + b"\xff\xd9", ImagePolicy())


@pytest.mark.parametrize("left", range(END_SIZE))
def test_a_png_without_its_end_chunk_ends_after_its_last_whole_chunk(left: int) -> None:
    whole = gradient_image("PNG")
    cut = whole[: len(whole) - END_SIZE + left]
    with pytest.raises(CorruptImage):
        inspect(cut, ImagePolicy())
    inspected = inspect(cut, ACCEPTING)
    assert inspected.body == whole[:-END_SIZE]
    assert inspected.metadata.perceptual_hash == inspect(whole, ACCEPTING).metadata.perceptual_hash


def test_a_chunk_that_is_cut_after_the_pixels_is_dropped() -> None:
    """It may hold a location that cannot be read."""
    pixels = gradient_image("PNG")[:-END_SIZE]
    cut = pixels + png_chunk(b"tEXt", b"GPSLatitude\x0052.5")[:-4]
    assert inspect(cut, ACCEPTING).body == pixels


def test_a_png_with_pixels_that_are_cut_is_corrupt() -> None:
    pixels = gradient_image("PNG")[:-END_SIZE]
    for missing in (1, 4, 5, 50):
        with pytest.raises(CorruptImage):
            inspect(pixels[:-missing], ACCEPTING)


@pytest.mark.parametrize(
    "body", [jpeg_with_gps()[:-2], png_with_location_text()[:-END_SIZE]], ids=["JPEG", "PNG"]
)
def test_the_location_is_removed_without_an_end_marker(body: bytes) -> None:
    inspected = inspect(body, ACCEPTING)
    assert inspected.metadata.had_location
    assert not inspect(inspected.body, ACCEPTING).metadata.had_location

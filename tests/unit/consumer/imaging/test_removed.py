"""Removed parts of a body are named by their content."""

import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import CorruptImage
from core.model.image import RemovedPart
from harness.images import (
    gradient_image,
    jpeg_segment,
    jpeg_with,
    jpeg_with_gps,
    jpeg_with_xmp_location,
    png_chunk,
    png_with,
    png_with_location_text,
    riff_chunk,
    sample,
    xmp_packet,
)

LOCATION, METADATA, SECOND_IMAGE, VIDEO, GAIN_MAP, TRAILER = RemovedPart

JPEG = gradient_image("JPEG")
MP4 = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + b"\x00\x00\x00\x08mdat"
SAMSUNG = b"\x00\x00\x30\x0a\x10\x00\x00\x00MotionPhoto_Data" + MP4 + b"SEFH\x6b\x00\x00\x00SEFT"
XMP = b"http://ns.adobe.com/xap/1.0/\0"
ISO_GAIN_MAP = jpeg_with(jpeg_segment(0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0\0"))


def with_xmp(properties: str) -> bytes:
    return jpeg_with(jpeg_segment(0xE1, XMP + xmp_packet(properties)))


HDRGM = with_xmp('hdrgm:Version="1.0" hdrgm:GainMapMax="2.5"')
APPLE_GAIN_MAP = with_xmp('HDRGainMap:HDRGainMapVersion="65536"')
CONTAINER = with_xmp('Item:Semantic="Primary"/> <a Item:Semantic="GainMap" Item:Mime="image/jpeg"')

REMOVED = {
    "GPS in EXIF": (jpeg_with_gps(), {LOCATION}),
    "location in XMP": (jpeg_with_xmp_location(), {LOCATION}),
    "location in text": (png_with_location_text(), {LOCATION}),
    "text that cannot be read": (png_with(png_chunk(b"zTXt", b"Comment\0\0damaged")), {METADATA}),
    "EXIF under an odd label": (
        jpeg_with(jpeg_segment(0xE1, b"Exif\0\x01II*\0\x08\0\0\0\0\0\0\0\0\0")),
        {METADATA},
    ),
    "images with an index": (gradient_image("MPO", frames=3), {SECOND_IMAGE}),
    "image without an index": (JPEG + JPEG, {SECOND_IMAGE}),
    "image after padding": (JPEG + bytes(1_000) + JPEG + bytes(1_000), {SECOND_IMAGE}),
    "image that is cut short": (JPEG + JPEG[:300], {SECOND_IMAGE}),
    "video": (JPEG + MP4, {VIDEO}),
    "video of Samsung": (JPEG + SAMSUNG, {VIDEO}),
    "label of a video that is missing": (JPEG + b"MotionPhoto_Data", {TRAILER}),
    "video after a PNG": (gradient_image("PNG") + MP4, {VIDEO}),
    "gain map of Ultra HDR": (JPEG + HDRGM, {GAIN_MAP}),
    "gain map of Apple": (JPEG + APPLE_GAIN_MAP, {GAIN_MAP}),
    "gain map of ISO 21496-1": (JPEG + ISO_GAIN_MAP, {GAIN_MAP}),
    "gain map that the first image names": (CONTAINER + JPEG, {GAIN_MAP}),
    "preview and gain map": (JPEG + JPEG + HDRGM, {SECOND_IMAGE, GAIN_MAP}),
    "gain map and video": (JPEG + HDRGM + MP4, {GAIN_MAP, VIDEO}),
    "everything": (
        jpeg_with_gps() + JPEG + HDRGM + b"x" + MP4,
        {LOCATION, SECOND_IMAGE, GAIN_MAP, TRAILER, VIDEO},
    ),
    "thousands of images": (JPEG * 2_000, {SECOND_IMAGE, TRAILER}),
    "text": (JPEG + b"<!-- served by cache -->", {TRAILER}),
    "padding": (JPEG + bytes(100), {TRAILER}),
    "text after an image": (JPEG + JPEG + b"text", {SECOND_IMAGE, TRAILER}),
    "bytes after a GIF": (gradient_image("GIF") + b"text", {TRAILER}),
    "chunk after a WebP": (gradient_image("WEBP") + riff_chunk(b"XMP ", b"text"), {TRAILER}),
    "image after a BMP": (gradient_image("BMP") + jpeg_with_gps(), {SECOND_IMAGE}),
    "image after a TIFF": (gradient_image("TIFF") + jpeg_with_gps(), {SECOND_IMAGE}),
    "text after a TIFF of two pages": (gradient_image("TIFF", frames=2) + b"text", {TRAILER}),
    "nothing": (JPEG, set()),
    "nothing from a gain map's own file": (HDRGM, set()),
    "nothing from a PNG": (gradient_image("PNG"), set()),
}


TRAILERS = {
    "a byte": (b"\0", {TRAILER}),
    "less than a header": (b"abcdefg", {TRAILER}),
    "text": (b"junkjunk", {TRAILER}),
    "padding": (bytes(16), {TRAILER}),
    "image": (JPEG, {SECOND_IMAGE}),
    "gain map": (HDRGM, {GAIN_MAP}),
    "video": (MP4, {VIDEO}),
    "image and video": (JPEG + MP4, {SECOND_IMAGE, VIDEO}),
}
BOXED = {
    "avif": gradient_image("AVIF"),
    "avif sequence": gradient_image("AVIF", frames=3),
    "heic": sample("cat.heic"),
}


@pytest.mark.parametrize(("trailer", "expected"), TRAILERS.values(), ids=TRAILERS.keys())
@pytest.mark.parametrize("image", BOXED.values(), ids=BOXED.keys())
def test_bytes_after_the_last_box_are_cut(
    image: bytes, trailer: bytes, expected: set[RemovedPart]
) -> None:
    """Some tools and servers append bytes to any file. Readers ignore what is no box."""
    result = inspect(image + trailer, ImagePolicy())
    assert result.body == image
    assert set(result.metadata.removed) == expected
    assert inspect(image + trailer, ImagePolicy(metadata="keep")).body == image + trailer


@pytest.mark.parametrize("image", BOXED.values(), ids=BOXED.keys())
@pytest.mark.parametrize(
    ("missing", "trailer"), [(1, b""), (300, b""), (10, bytes(3)), (300, b"junk" * 50)]
)
def test_a_trailer_does_not_hide_a_cut(image: bytes, missing: int, trailer: bytes) -> None:
    """All pieces of the image must lie before it."""
    with pytest.raises(CorruptImage):
        inspect(image[:-missing] + trailer, ImagePolicy())


@pytest.mark.parametrize(("body", "expected"), REMOVED.values(), ids=REMOVED.keys())
def test_each_part_that_is_removed_is_named(body: bytes, expected: set[RemovedPart]) -> None:
    """Once, in the order of the contract. The hashes differ exactly if something is removed."""
    metadata = inspect(body, ImagePolicy()).metadata
    assert metadata.removed == tuple(part for part in RemovedPart if part in expected)
    assert (metadata.sha256 != metadata.source_sha256) == bool(expected)
    assert metadata.had_location == (LOCATION in expected)

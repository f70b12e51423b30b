"""A location in a chunk of the image itself is found: the name of a chunk does not tell what a reader finds in it."""

import zlib
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, MetadataPolicy
from harness.images import exif_block, gradient_image, png_chunk, png_with, xmp_packet

PNG = gradient_image("PNG")
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PACKET = xmp_packet()
HIDDEN = {"xmp": PACKET, "exif": exif_block()}
CHUNKS = (b"tIME", b"sPLT", b"pCAL", b"sCAL", b"hIST", b"bKGD", b"tRNS", b"pHYs", b"gAMA", b"oFFs")


def webp(profile: bytes) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").convert("RGB").save(out, "WEBP", icc_profile=profile)
    return out.getvalue()


def rgba(body: bytes) -> bytes:
    with Image.open(BytesIO(body)) as image:
        return image.convert("RGBA").tobytes()


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("name", CHUNKS)
@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_a_png_chunk_with_a_location_is_dropped(
    name: bytes, hidden: bytes, policy: MetadataPolicy
) -> None:
    padded = hidden.ljust(600, b"\0")
    inspected = inspect(png_with(png_chunk(name, padded)), ImagePolicy(metadata=policy))
    assert inspected.metadata.had_location
    assert inspected.body == PNG


@pytest.mark.parametrize("content", [PACKET, zlib.compress(PACKET), zlib.compress(SRGB + PACKET)])
@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_a_png_profile_with_a_location_is_dropped(content: bytes, policy: MetadataPolicy) -> None:
    body = png_with(png_chunk(b"iCCP", b"a\0\0" + content))
    inspected = inspect(body, ImagePolicy(metadata=policy))
    assert inspected.metadata.had_location
    assert inspected.body == PNG


@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_the_end_of_a_png_is_empty(policy: MetadataPolicy) -> None:
    body = PNG[:-12] + png_chunk(b"IEND", PACKET)
    inspected = inspect(body, ImagePolicy(metadata=policy))
    assert inspected.metadata.had_location
    assert inspected.body == PNG


@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_a_webp_profile_with_a_location_is_dropped(policy: MetadataPolicy) -> None:
    body = webp(SRGB + PACKET)
    inspected = inspect(body, ImagePolicy(metadata=policy))
    assert inspected.metadata.had_location
    assert PACKET not in inspected.body
    assert rgba(inspected.body) == rgba(body)
    with Image.open(BytesIO(inspected.body)) as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_profiles_and_chunks_without_a_location_stay(policy: MetadataPolicy) -> None:
    """A profile tells how the image looks, whatever the policy."""
    png = png_with(
        png_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB)), png_chunk(b"pHYs", bytes(9))
    )
    for body in (png, webp(SRGB)):
        assert inspect(body, ImagePolicy(metadata=policy)).body is body

"""What follows a BMP or a TIFF is not published. Their ends have to be found: no marker tells them."""

import struct
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, MetadataPolicy
from harness.images import gradient_image, jpeg_with_gps, tiff_with_gps

TRAILER = jpeg_with_gps()
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TIFF_STRIP_LENGTHS = b"\x17\x01\x04\0"


def bmp(mode: str) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize((63, 48)).convert(mode).save(out, "BMP")
    return out.getvalue()


def bmp_with_profile() -> bytes:
    """Return an image with a BITMAPV5HEADER, whose profile is behind the pixels."""
    pixels = bytes(range(48)) * 4
    fields = struct.pack("<IiiHHIIIIII", 124, 8, 8, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    profile_at = 124 + len(pixels)
    fields += bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, profile_at, len(SRGB), 0)
    head = b"BM" + struct.pack("<IHHI", 14 + profile_at + len(SRGB), 0, 0, 14 + 124)
    return head + fields + pixels + SRGB


def tiff(mode: str = "RGB", **options: object) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize((63, 48)).convert(mode).save(out, "TIFF", **options)
    return out.getvalue()


def tiff_with_wrong_lengths() -> bytes:
    """Return an image without compression whose strip claims one byte. Decoders ignore that."""
    body = tiff()
    at = body.index(TIFF_STRIP_LENGTHS) + 8
    return body[:at] + b"\1\0\0\0" + body[at + 4 :]


IMAGES = {
    **{f"BMP {mode}": bmp(mode) for mode in ("1", "L", "P", "RGB", "RGBA")},
    "BMP with a profile": bmp_with_profile(),
    **{f"TIFF {mode}": tiff(mode) for mode in ("1", "L", "RGBA", "CMYK")},
    "TIFF, LZW": tiff(compression="tiff_lzw"),
    "TIFF, JPEG": tiff(compression="jpeg"),
    "TIFF, pages": gradient_image("TIFF", frames=3),
    "TIFF, tiles": tiff(tiffinfo={322: 16, 323: 16}, compression="raw"),
    "TIFF, wrong lengths": tiff_with_wrong_lengths(),
}


def pixels(body: bytes) -> bytes:
    with Image.open(BytesIO(body)) as image:
        return image.tobytes()


@pytest.mark.parametrize("body", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_what_follows_an_image_is_cut_off(body: bytes, policy: MetadataPolicy) -> None:
    """The cut leaves every byte of the image."""
    alone = inspect(body, ImagePolicy(metadata=policy)).body
    followed = inspect(body + TRAILER, ImagePolicy(metadata=policy)).body
    assert followed.rstrip(b"\0") == alone.rstrip(b"\0")
    assert pixels(followed) == pixels(body)


@pytest.mark.parametrize("body", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("padding", [0, 1, 3, 4_096])
def test_an_image_with_nothing_behind_it_stays(body: bytes, padding: int) -> None:
    """Zero bytes are nothing: encoders write them to fill a block."""
    padded = body + bytes(padding)
    assert inspect(padded, ImagePolicy()).body is padded


def test_a_profile_behind_the_pixels_of_a_bmp_stays() -> None:
    assert SRGB in inspect(bmp_with_profile() + TRAILER, ImagePolicy()).body


def test_a_location_at_the_end_of_a_tiff_is_erased_in_place() -> None:
    """What is erased leaves zero bytes, which do not change the end."""
    body = tiff_with_gps()
    inspected = inspect(body, ImagePolicy())
    assert inspected.metadata.had_location
    assert len(inspected.body) == len(body)


def test_a_location_behind_a_tiff_with_a_location_goes_too() -> None:
    inspected = inspect(tiff_with_gps() + TRAILER, ImagePolicy())
    assert inspected.metadata.had_location
    assert TRAILER[:100] not in inspected.body

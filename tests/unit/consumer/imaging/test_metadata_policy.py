"""The published body with the policies `keep` and `strip-all`."""

from io import BytesIO

import pytest
from PIL import Image, ImageCms
from unit.consumer.imaging.test_strip_location import pixels

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.model.image import RemovedPart
from harness.images import (
    exif_block,
    gradient_image,
    jpeg_segment,
    jpeg_with,
    png_chunk,
    png_with,
    raw_profile,
    riff_chunk,
    webp_with,
    xmp_packet,
)
from harness.located_chunks import gif_with
from harness.located_images import (
    LOCATED,
    NOT_REMOVABLE,
    PLAIN_XMP,
    SECRETS,
    XMP,
    saved,
)
from harness.metadata_blocks import EXIF, box, gif_extension, gif_xmp

# Pillow warns about a damaged EXIF block and skips it.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")

KEEP, ALL = ImagePolicy(metadata="keep"), ImagePolicy(metadata="strip-all")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TEXTS = {0x010E: "A secret caption", 0x010F: "Secret maker", 0x0110: "Modelsecret"}
DETAILS = {0x9003: "2020:01:02 03:04:05", 0x9286: "A secret comment"}
BLOCK = exif_block(gps=False, texts=TEXTS, details=DETAILS, orientation=6)
SECRET_XMP = xmp_packet('dc:title="A secret title"')


def tiff_exif() -> Image.Exif:
    """The same block, with XMP in its tag of TIFF."""
    exif = Image.Exif()
    exif.load(EXIF + BLOCK)
    exif[700] = SECRET_XMP
    return exif


RICH = {
    "jpeg": jpeg_with(
        jpeg_segment(0xE1, XMP + SECRET_XMP),
        jpeg_segment(0xE5, b"Secret vendor"),
        jpeg_segment(0xFE, b"A secret comment"),
        body=saved("JPEG", exif=EXIF + BLOCK, icc_profile=PROFILE),
    ),
    "png": png_with(
        png_chunk(b"tEXt", b"Author\0A secret author"),
        png_chunk(b"tIME", b"\x07\xe4\1\2\3\4\5"),
        png_chunk(b"prVt", b"A secret"),
        raw_profile("xmp", SECRET_XMP),
        body=saved("PNG", exif=EXIF + BLOCK, icc_profile=PROFILE),
    ),
    "webp": saved("WEBP", exif=EXIF + BLOCK, xmp=SECRET_XMP, icc_profile=PROFILE),
    "tiff": saved("TIFF", exif=tiff_exif(), icc_profile=PROFILE),
    "avif": saved("AVIF", exif=EXIF + BLOCK, xmp=SECRET_XMP, icc_profile=PROFILE),
}
WITHOUT_ORIENTATION = {
    "jpeg": jpeg_with(jpeg_segment(0xE1, EXIF + exif_block(gps=False, texts=TEXTS))),
    "png": png_with(png_chunk(b"eXIf", exif_block(gps=False, texts=TEXTS))),
    "webp": webp_with([(b"EXIF", exif_block(gps=False, texts=TEXTS)), (b"XMP ", SECRET_XMP)]),
}
BARE = {
    "jpeg": gradient_image("JPEG"),
    "png": gradient_image("PNG"),
    "webp": webp_with([], flags=0),
}
ANIMATED = {kind: gradient_image(kind, frames=3) for kind in ("GIF", "WEBP", "PNG", "AVIF", "TIFF")}


@pytest.mark.parametrize("body", RICH.values(), ids=RICH.keys())
def test_strip_all_keeps_only_orientation_and_profile(body: bytes) -> None:
    """Texts, camera and times are not published. The record has camera and capture time."""
    inspected = inspect(body, ALL)
    stored, metadata = inspected.body, inspected.metadata
    assert b"ecret" not in stored
    assert b"2020:01:02" not in stored
    assert metadata.removed == (RemovedPart.METADATA,)
    assert metadata.camera == "Secret maker Modelsecret"
    assert metadata.capture_time == "2020-01-02T03:04:05"
    assert pixels(stored) == pixels(body)
    with Image.open(BytesIO(stored)) as image, Image.open(BytesIO(body)) as before:
        assert image.info["icc_profile"] == PROFILE
        assert image.getexif().get(0x0112) == before.getexif().get(0x0112) == 6
        assert "xmp" not in image.info or not image.info["xmp"].strip()
    again = inspect(stored, ALL)
    assert again.body is stored
    assert (again.metadata.width, again.metadata.height) == (metadata.width, metadata.height)


@pytest.mark.parametrize("kind", WITHOUT_ORIENTATION)
def test_strip_all_leaves_no_block_without_orientation(kind: str) -> None:
    """An upright image has no EXIF afterwards, and the flags of a WebP say so."""
    assert inspect(WITHOUT_ORIENTATION[kind], ALL).body == BARE[kind]


@pytest.mark.parametrize("body", LOCATED.values(), ids=LOCATED.keys())
def test_strip_all_removes_every_location(body: bytes) -> None:
    """The location is removed with the rest, and reported."""
    inspected = inspect(body, ALL)
    assert inspected.metadata.had_location
    assert not [secret for secret in SECRETS if secret in inspected.body]
    assert pixels(inspected.body) == pixels(body)
    assert inspect(inspected.body, ALL).body is inspected.body


@pytest.mark.parametrize("body", ANIMATED.values(), ids=ANIMATED.keys())
def test_strip_all_keeps_animations(body: bytes) -> None:
    """Frames, delays and repetitions stay."""
    stored = inspect(body, ALL).body
    assert pixels(stored) == pixels(body)
    with Image.open(BytesIO(stored)) as image, Image.open(BytesIO(body)) as before:
        for name in ("loop", "duration"):
            assert image.info.get(name) == before.info.get(name)


def test_strip_all_drops_the_extensions_of_a_gif() -> None:
    """Comment and XMP are dropped. The loop and the frames stay."""
    loop = gif_extension(b"\xff", b"NETSCAPE2.0\1\0\0", 11)
    body = gif_with(gif_extension(b"\xfe", b"A comment"), loop, gif_xmp(PLAIN_XMP))
    assert inspect(body, ALL).body == gif_with(loop)


def test_strip_all_frees_the_boxes_of_an_avif() -> None:
    """A box that is no part of the image becomes free space of the same length."""
    image = gradient_image("AVIF")
    stored = inspect(image + box(b"uuid", b"A secret of sixteen bytes or more"), ALL).body
    assert stored == image + box(b"free", bytes(33))


@pytest.mark.parametrize("kind", ["TIFF", "BMP"])
def test_strip_all_blanks_packets_that_no_offset_leads_to(kind: str) -> None:
    """An editor leaves the former packet in the file. It holds no location here."""
    body = gradient_image(kind)
    stored = inspect(body + SECRET_XMP, ALL).body
    assert stored.startswith(body)
    assert b"secret" not in stored


KEPT = {
    **LOCATED,
    **NOT_REMOVABLE,
    "trailer": gradient_image("WEBP") + riff_chunk(b"XMP ", b"after the end"),
    "further images": gradient_image("MPO", frames=2),
}


@pytest.mark.parametrize("name", KEPT)
def test_keep_publishes_the_body_as_it_is(name: str) -> None:
    """Nothing is removed. A location is reported."""
    inspected = inspect(KEPT[name], KEEP)
    assert inspected.body is KEPT[name]
    assert inspected.metadata.removed == ()
    assert inspected.metadata.had_location == (name in LOCATED or name in NOT_REMOVABLE)

from hashlib import sha256
from io import BytesIO
from typing import Literal

import pytest
from PIL import Image, ImageOps

from consumer.imaging import exif
from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.model.image import ImageMetadata
from harness.images import (
    exif_block,
    gradient_image,
    jpeg_segment,
    jpeg_with,
    png_chunk,
    png_with,
    sample,
    webp_with,
)

POLICY = ImagePolicy()
MAKE, MODEL, TAKEN, OFFSET = 0x010F, 0x0110, 0x9003, 0x9011


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_a_rotated_photograph_has_the_metadata_of_its_displayed_form() -> None:
    """All metadata of a photograph that is stored on its side."""
    body = sample("portrait-rotated.jpg")
    inspected = inspect(body, POLICY)
    digest = sha256(body).hexdigest()
    assert inspected.body is body
    assert inspected.extension == "jpg"
    assert inspected.metadata == ImageMetadata(
        format="JPEG",
        media_type="image/jpeg",
        width=341,
        height=400,
        mode="RGB",
        frames=1,
        bytes=len(body),
        sha256=digest,
        source_sha256=digest,
        perceptual_hash=inspected.metadata.perceptual_hash,
        dominant_color=inspected.metadata.dominant_color,
        capture_time="1984-01-12T10:30:00",
        camera="Canon EOS 5D",
        had_location=False,
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_turns_size_and_hash(orientation: int) -> None:
    """An image stored in any orientation has the size and the hash of the upright one."""
    with Image.open(BytesIO(sample("rocket-progressive.jpg"))) as upright:
        stored = _stored(upright.convert("RGB"), orientation)
        expected = inspect(_jpeg(upright.convert("RGB")), POLICY).metadata
    segment = jpeg_segment(0xE1, b"Exif\0\0" + exif_block(gps=False, orientation=orientation))
    metadata = inspect(jpeg_with(segment, body=_jpeg(stored)), POLICY).metadata
    assert (metadata.width, metadata.height) == (480, 320)
    assert distance(metadata.perceptual_hash, expected.perceptual_hash) <= 3


def _stored(upright: Image.Image, orientation: int) -> Image.Image:
    """Return the pixels that look like `upright` when displayed in `orientation`."""
    for method in (None, *Image.Transpose):
        candidate = upright if method is None else upright.transpose(method)
        marked = candidate.copy()
        marked.getexif()[exif.ORIENTATION] = orientation
        if ImageOps.exif_transpose(marked).tobytes() == upright.tobytes():
            return candidate
    raise AssertionError(orientation)


def _jpeg(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_orientation_of_a_tiff_is_applied_once(orientation: int) -> None:
    """Pillow applies the orientation of a TIFF itself, so the hash does not apply it again."""
    with Image.open(BytesIO(sample("flower.tiff"))) as image:
        upright = image.convert("RGB")
    out = BytesIO()
    tags = Image.Exif()
    tags[exif.ORIENTATION] = orientation
    _stored(upright, orientation).save(out, "TIFF", exif=tags)
    metadata = inspect(out.getvalue(), POLICY).metadata
    expected = inspect(sample("flower.tiff"), POLICY).metadata
    assert (metadata.width, metadata.height) == (200, 133)
    assert distance(metadata.perceptual_hash, expected.perceptual_hash) <= 3


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_orientation_is_applied_in_every_format_that_has_it(kind: str) -> None:
    """EXIF orientation swaps the sides in PNG, WebP and AVIF as well."""
    block = exif_block(gps=False, orientation=6)
    out = BytesIO()
    with Image.open(BytesIO(gradient_image("PNG", (64, 48)))) as image:
        image.save(out, kind, exif=b"Exif\0\0" + block)
    metadata = inspect(out.getvalue(), POLICY).metadata
    assert (metadata.width, metadata.height) == (48, 64)


@pytest.mark.parametrize("order", ["<", ">"])
def test_capture_time_and_camera_are_read_in_both_byte_orders(order: Literal["<", ">"]) -> None:
    """Maker, model, time and its offset are read from little- and big-endian EXIF."""
    block = exif_block(
        order,
        gps=False,
        texts={MAKE: "Leica", MODEL: "M10"},
        details={TAKEN: "2020:02:29 23:59:58", OFFSET: "-03:30"},
    )
    for body in (
        jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + block)),
        png_with(png_chunk(b"eXIf", block)),
        webp_with([(b"EXIF", block)]),
    ):
        metadata = inspect(body, POLICY).metadata
        assert metadata.capture_time == "2020-02-29T23:59:58-03:30"
        assert metadata.camera == "Leica M10"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 6", "Apple iPhone 6"),
        ("", "X100", "X100"),
        ("Sony", "", "Sony"),
        ("A\x1b[31m\n", "B\u202e", "A [31m B"),
        ("M" * 200, "", "M" * 128),
        ("   ", "  ", ""),
    ],
)
def test_the_camera_is_printable_and_named_once(make: str, model: str, camera: str) -> None:
    """Maker and model are joined without repeating the maker, and are printable."""
    assert exif._camera(*(exif._clean_text(each.encode()) for each in (make, model))) == camera


@pytest.mark.parametrize(
    ("taken", "offset", "expected"),
    [
        ("2020:01:02 03:04:05", "", "2020-01-02T03:04:05"),
        ("2020:01:02 03:04:05", "+09:00", "2020-01-02T03:04:05+09:00"),
        ("2020:01:02 03:04:05", "nonsense", "2020-01-02T03:04:05"),
        ("0000:00:00 00:00:00", "", ""),
        ("    :  :     :  :  ", "", ""),
        ("2020-01-02", "", ""),
    ],
)
def test_only_a_valid_capture_time_is_kept(taken: str, offset: str, expected: str) -> None:
    """A blank or invalid time is empty. An invalid offset is dropped."""
    details = {TAKEN: taken, OFFSET: offset} if offset else {TAKEN: taken}
    assert exif.read_exif(exif_block(gps=False, details=details)).capture_time == expected


@pytest.mark.parametrize(
    "block", [b"", b"Exif\0\0", b"MM\0*", b"MM\0*\0\0\0\x08", b"II*\0\xff\xff\xff\xff", bytes(99)]
)
def test_a_damaged_exif_block_has_no_facts(block: bytes) -> None:
    """EXIF that cannot be read does not fail the image."""
    assert exif.read_exif(block) == exif.ExifFacts()


def test_similar_images_have_similar_hashes() -> None:
    """Scaling or another format changes few bits of the hash. Other images differ in many."""
    hashes = {
        name: inspect(sample(name), POLICY).metadata.perceptual_hash
        for name in ("coffee.webp", "coffee-text-location.png", "astronaut.png", "astronaut.bmp")
    }
    assert all(len(each) == 16 for each in hashes.values())
    assert distance(hashes["coffee.webp"], hashes["coffee-text-location.png"]) <= 4
    assert distance(hashes["astronaut.png"], hashes["astronaut.bmp"]) <= 4
    assert distance(hashes["coffee.webp"], hashes["astronaut.png"]) > 16


def test_draft_and_full_agree() -> None:
    """A draft gives the metadata of a full decode, except for a few bits of the hash."""
    body = sample("rocket-progressive.jpg")
    draft = inspect(body, POLICY).metadata
    full = inspect(body, ImagePolicy(verification="full")).metadata
    assert distance(draft.perceptual_hash, full.perceptual_hash) <= 4
    assert (draft.width, draft.height, draft.mode) == (full.width, full.height, full.mode)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_tiny_images_are_inspected(kind: str, size: tuple[int, int]) -> None:
    """Images too small to be shrunk have a hash and a colour too."""
    metadata = inspect(gradient_image(kind, size), POLICY).metadata
    assert (metadata.width, metadata.height) == size
    assert len(metadata.perceptual_hash) == 16
    assert len(metadata.dominant_color) == 7


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_is_inspected(mode: str) -> None:
    """The mode is recorded as Pillow names it."""
    out = BytesIO()
    Image.new(mode, (90, 80)).save(out, "PNG")
    assert inspect(out.getvalue(), POLICY).metadata.mode == mode

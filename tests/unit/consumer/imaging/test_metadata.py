import struct
import zlib
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
    ("raw", "text"),
    [
        ("Kamera Zürich".encode(), "Kamera Zürich"),
        (b"Can\xf6n", "Canön"),
        (b"Caf\xe9\0\xff", "Café"),
        ("é".encode() * 300, "é" * 128),
        (b"x" + "é".encode() * 300, "x" + "é" * 127),
        (b"\x80\x9f Leica", "Leica"),
    ],
)
def test_a_text_is_utf_8_or_else_latin_1(raw: bytes, text: str) -> None:
    """No letter is lost. Only the first bytes of a long text are read, which may end inside a character."""
    assert exif._clean_text(raw[:256])[:128] == text


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


@pytest.mark.parametrize("kind", [1, 3, 4, 6, 8, 9])
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_may_have_any_integer_type(kind: int, order: Literal["<", ">"]) -> None:
    """BYTE, SHORT, LONG and their signed forms. Some writers do not use SHORT."""
    segment = jpeg_segment(0xE1, b"Exif\0\0" + one_entry(order, 0x0112, kind, 6))
    metadata = inspect(jpeg_with(segment), POLICY).metadata
    assert (metadata.width, metadata.height) == (48, 64)


@pytest.mark.parametrize("kind", [6, 8, 9])
def test_a_negative_orientation_is_unknown(kind: int) -> None:
    """It turns nothing."""
    segment = jpeg_segment(0xE1, b"Exif\0\0" + one_entry("<", 0x0112, kind, -6))
    assert inspect(jpeg_with(segment), POLICY).metadata.width == 64


def one_entry(order: Literal["<", ">"], tag: int, kind: int, value: int) -> bytes:
    """Return a block with a directory of one entry."""
    code = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}[kind]
    packed = struct.pack(f"{order}{code}", value).ljust(4, b"\0")
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IHHHI", 8, 1, tag, kind, 1) + packed + bytes(4)


def profile_text(kind: str, payload: bytes) -> bytes:
    """Return a profile as ImageMagick writes it: with 36 bytes in each line."""
    lines = [payload[at : at + 36].hex() for at in range(0, len(payload), 36)]
    return f"\n{kind}\n{len(payload):8d}\n{chr(10).join(lines)}\n".encode()


PHOTO = exif_block(gps=False, texts={MODEL: "M10"}, details={TAKEN: "2020:01:02 03:04:05"})
WITH_PROFILES = {
    "zTXt exif": png_chunk(
        b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile_text("exif", PHOTO))
    ),
    "zTXt APP1": png_chunk(
        b"zTXt",
        b"Raw profile type APP1\0\0" + zlib.compress(profile_text("app1", b"Exif\0\0" + PHOTO)),
    ),
    "tEXt": png_chunk(b"tEXt", b"Raw profile type exif\0" + profile_text("exif", PHOTO)),
    "iTXt": png_chunk(b"iTXt", b"Raw profile type exif\0\0\0\0\0" + profile_text("exif", PHOTO)),
    "deflated iTXt": png_chunk(
        b"iTXt", b"Raw profile type exif\0\1\0\0\0" + zlib.compress(profile_text("exif", PHOTO))
    ),
    "after XMP of the same name": png_chunk(
        b"tEXt", b"Raw profile type APP1\0" + profile_text("app1", b"<x/>")
    )
    + png_chunk(b"tEXt", b"Raw profile type APP1\0" + profile_text("app1", PHOTO)),
}


@pytest.mark.parametrize("chunk", WITH_PROFILES.values(), ids=WITH_PROFILES.keys())
def test_camera_and_time_are_read_from_a_profile_in_text(chunk: bytes) -> None:
    """As ImageMagick and ExifTool wrote EXIF before PNG had a chunk for it."""
    metadata = inspect(png_with(chunk), POLICY).metadata
    assert (metadata.camera, metadata.capture_time) == ("M10", "2020-01-02T03:04:05")


def test_exif_in_its_own_chunk_precedes_a_profile() -> None:
    """The orientation of a profile never counts: browsers do not read it."""
    other = exif_block(gps=False, texts={MODEL: "M6"}, orientation=6)
    profile = png_chunk(b"tEXt", b"Raw profile type exif\0" + profile_text("exif", other))
    both = inspect(png_with(profile, png_chunk(b"eXIf", PHOTO)), POLICY).metadata
    assert both.camera == "M10"
    alone = inspect(png_with(profile), POLICY).metadata
    assert (alone.camera, alone.width) == ("M6", 64)


@pytest.mark.parametrize(
    "text", [b"\nexif\n 8\nnot digits", b"", b"\nexif\n", profile_text("exif", b"II*\0" + bytes(9))]
)
def test_a_damaged_profile_tells_nothing(text: bytes) -> None:
    """It does not fail the image."""
    profile = png_chunk(b"tEXt", b"Raw profile type exif\0" + text)
    deflated = png_chunk(b"zTXt", b"Raw profile type exif\0\0" + text)
    metadata = inspect(png_with(profile, deflated), POLICY).metadata
    assert (metadata.camera, metadata.capture_time) == ("", "")

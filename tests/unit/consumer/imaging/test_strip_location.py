import zlib
from io import BytesIO
from typing import Literal

import pytest
from PIL import ExifTags, Image, ImageSequence, PngImagePlugin

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from core.errors import LocationNotRemovable
from harness.images import (
    LATITUDE_DIGITS,
    exif_block,
    gradient_image,
    iptc_dataset,
    jpeg_segment,
    jpeg_with,
    jpeg_with_gps,
    jpeg_with_xmp_location,
    photoshop_resource,
    png_chunk,
    png_with,
    png_with_location_text,
    raw_profile,
    riff_chunk,
    sample,
    webp_with,
    xmp_packet,
)

# Pillow warns about a damaged EXIF block and skips it.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")

POLICY = ImagePolicy()
EXIF, XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32
PHOTOSHOP = b"Photoshop 3.0\0"
CITY = photoshop_resource(0x0404, iptc_dataset(90, b"Berlin"))
CAPTION = photoshop_resource(0x0404, iptc_dataset(120, b"A caption"))
RESOLUTION = photoshop_resource(0x03ED, bytes(16))


def thumbnail_block(*, gps: bool) -> bytes:
    """An EXIF block whose thumbnail is a JPEG with its own EXIF."""
    thumbnail = jpeg_with(
        jpeg_segment(0xE1, EXIF + exif_block(gps=gps)), body=gradient_image("JPEG", (16, 12))
    )
    first = b"\0\0" + (14).to_bytes(4, "big")
    entry = b"\0\4\0\0\0\1"
    second = b"\0\2" + b"\2\1" + entry + (44).to_bytes(4, "big")
    second += b"\2\2" + entry + len(thumbnail).to_bytes(4, "big") + bytes(4)
    return b"MM\0*\0\0\0\x08" + first + second + thumbnail


def extended_xmp(packet: bytes, *, split: int) -> list[bytes]:
    sizes = len(packet).to_bytes(4, "big")
    parts = ((0, packet[:split]), (split, packet[split:]))
    return [
        jpeg_segment(0xE1, XMP_EXTENSION + sizes + at.to_bytes(4, "big") + part)
        for at, part in parts
    ]


PLAIN_XMP = xmp_packet('dc:title="Holiday" tiff:Make="Canon" photoshop:City=""')
MPF = jpeg_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\0\0\0\0\0")

REMOVABLE = {
    "jpeg exif, little-endian": jpeg_with_gps("<"),
    "jpeg exif, big-endian": jpeg_with_gps(">"),
    "jpeg exif, second block": jpeg_with(
        jpeg_segment(0xE1, EXIF + exif_block(gps=False, orientation=1)),
        jpeg_segment(0xE1, EXIF + exif_block()),
    ),
    "jpeg exif, split over two segments": jpeg_with(
        jpeg_segment(0xE1, EXIF + exif_block()[:60]), jpeg_segment(0xE1, EXIF + exif_block()[60:])
    ),
    "jpeg exif, with a directory cut short": jpeg_with(
        jpeg_segment(0xE1, EXIF + exif_block()[:8] + b"\0\xff" + exif_block()[10:])
    ),
    "jpeg exif, in the thumbnail": jpeg_with(jpeg_segment(0xE1, EXIF + thumbnail_block(gps=True))),
    "jpeg exif, oddly labelled": jpeg_with(jpeg_segment(0xE1, b"Exif\0\xff" + exif_block())),
    "jpeg exif, split over odd labels": jpeg_with(
        jpeg_segment(0xE1, EXIF + exif_block()[:60]),
        jpeg_segment(0xE1, b"Exif\0\x01" + exif_block()[60:]),
    ),
    "jpeg xmp": jpeg_with_xmp_location(),
    "jpeg xmp, extension": jpeg_with(
        jpeg_segment(0xE1, XMP + PLAIN_XMP), *extended_xmp(xmp_packet(), split=150)
    ),
    "jpeg xmp, extension in reverse order": jpeg_with(*extended_xmp(xmp_packet(), split=150)[::-1]),
    "jpeg iptc": jpeg_with(jpeg_segment(0xED, PHOTOSHOP + RESOLUTION + CITY)),
    "jpeg iptc, split over two segments": jpeg_with(
        jpeg_segment(0xED, PHOTOSHOP + CITY[:14]), jpeg_segment(0xED, PHOTOSHOP + CITY[14:])
    ),
    "jpeg exif in photoshop's segment": jpeg_with(
        jpeg_segment(0xED, PHOTOSHOP + photoshop_resource(0x0422, exif_block()))
    ),
    "jpeg xmp in photoshop's segment": jpeg_with(
        jpeg_segment(0xED, PHOTOSHOP + photoshop_resource(0x0424, xmp_packet()))
    ),
    "png exif": png_with(png_chunk(b"eXIf", exif_block())),
    "png exif after the pixels": gradient_image("PNG")[:-12]
    + png_chunk(b"eXIf", exif_block())
    + gradient_image("PNG")[-12:],
    "png xmp": png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp_packet())),
    "png raw profile exif": png_with_location_text(),
    "png raw profile app1": png_with(raw_profile("APP1", EXIF + exif_block("<"))),
    "png raw profile app1 with xmp": png_with(raw_profile("APP1", XMP + xmp_packet())),
    "png raw profile xmp": png_with(raw_profile("xmp", xmp_packet())),
    "png raw profile iptc": png_with(raw_profile("iptc", CITY)),
    "png raw profile iptc, bare": png_with(raw_profile("iptc", iptc_dataset(101, b"Chile"))),
    "png text": png_with(png_chunk(b"tEXt", b"exif:GPSLatitude\x0052/1, 31/1, 12/1")),
    "png text in a sample": sample("coffee-text-location.png"),
    "webp exif": webp_with([(b"EXIF", exif_block())]),
    "webp exif with prefix": webp_with([(b"EXIF", EXIF + exif_block("<"))]),
    "webp xmp": webp_with([(b"XMP ", xmp_packet())], flags=0x04),
    "webp both": webp_with([(b"EXIF", exif_block()), (b"XMP ", xmp_packet())]),
    "exif in a sample": sample("palace-exif-location.jpg"),
    "xmp in a sample": sample("flower-xmp-location.jpg"),
}

HARMLESS = {
    "jpeg": gradient_image("JPEG"),
    "png": gradient_image("PNG"),
    "gif": gradient_image("GIF", frames=3),
    "webp": gradient_image("WEBP"),
    "animated webp": gradient_image("WEBP", frames=3),
    "avif": gradient_image("AVIF"),
    "tiff": gradient_image("TIFF"),
    "bmp": gradient_image("BMP"),
    "jpeg exif": jpeg_with(jpeg_segment(0xE1, EXIF + exif_block(gps=False, orientation=3))),
    "jpeg exif, damaged": jpeg_with(jpeg_segment(0xE1, EXIF + b"MM\0*\xff\xff\xff\xff")),
    "jpeg exif, thumbnail with its own": jpeg_with(
        jpeg_segment(0xE1, EXIF + thumbnail_block(gps=False))
    ),
    "jpeg xmp": jpeg_with(jpeg_segment(0xE1, XMP + PLAIN_XMP)),
    "jpeg iptc": jpeg_with(jpeg_segment(0xED, PHOTOSHOP + CAPTION + RESOLUTION)),
    "jpeg with the index of dropped images": jpeg_with(MPF),
    "png text": png_with(png_chunk(b"tEXt", b"Software\0The GIMP")),
    "png xmp": png_with(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + PLAIN_XMP)),
    "png raw profile": png_with(raw_profile("iptc", CAPTION)),
    "webp exif and xmp": webp_with(
        [(b"EXIF", exif_block(gps=False, orientation=1)), (b"XMP ", PLAIN_XMP)]
    ),
}

TRAILERS = {
    "jpeg": gradient_image("JPEG") + jpeg_with_gps(),
    "jpeg with an index of images": gradient_image("MPO", frames=3),
    "png": gradient_image("PNG") + xmp_packet(),
    "gif": gradient_image("GIF") + xmp_packet(),
    "webp": gradient_image("WEBP") + riff_chunk(b"XMP ", xmp_packet()),
}


def pixels(body: bytes) -> list[bytes]:
    with Image.open(BytesIO(body)) as image:
        return [frame.convert("RGBA").tobytes() for frame in ImageSequence.Iterator(image)]


@pytest.mark.parametrize("body", REMOVABLE.values(), ids=REMOVABLE.keys())
def test_location_is_removed_and_pixels_stay(body: bytes) -> None:
    """The stored body of a JPEG, PNG or WebP has no location, and no pixel changes."""
    inspected = inspect(body, POLICY)
    stored = inspected.body
    assert inspected.metadata.had_location
    assert inspected.metadata.sha256 != inspected.metadata.source_sha256
    assert inspected.metadata.bytes == len(stored)
    assert pixels(stored) == pixels(body)
    with Image.open(BytesIO(stored)) as image:
        image.load()
        assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert b"GPSLatitude" not in bytes(image.info.get("xmp", b""))
        if isinstance(image, PngImagePlugin.PngImageFile):
            assert not any("GPS" in key or "Raw" in key for key in image.text)
    for secret in (LATITUDE_DIGITS, LATITUDE_DIGITS[::-1], b"52,31.2N", b"Berlin", b"Chile"):
        assert secret not in stored


@pytest.mark.parametrize("body", REMOVABLE.values(), ids=REMOVABLE.keys())
def test_a_stripped_image_is_not_changed_again(body: bytes) -> None:
    """The rules that found the location find none in the stored body."""
    stored = inspect(body, POLICY).body
    again = inspect(stored, POLICY)
    assert again.body is stored
    assert not again.metadata.had_location


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS.keys())
def test_an_image_without_location_is_stored_unchanged(body: bytes) -> None:
    """Metadata without a location stays, byte for byte."""
    inspected = inspect(body, POLICY)
    assert inspected.body is body
    assert not inspected.metadata.had_location


@pytest.mark.parametrize("body", TRAILERS.values(), ids=TRAILERS.keys())
def test_bytes_after_the_end_are_not_published(body: bytes) -> None:
    """Bytes after the end of the image are dropped with their index. Pixels stay."""
    inspected = inspect(body, POLICY)
    assert len(inspected.body) < len(body)
    assert body.startswith(inspected.body[:2])
    assert b"MPF" not in inspected.body
    assert b"GPS" not in inspected.body
    assert pixels(inspected.body) == pixels(body)[:1]
    assert inspected.metadata.sha256 != inspected.metadata.source_sha256
    assert not inspected.metadata.had_location


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_rest_of_exif_survives(order: Literal["<", ">"]) -> None:
    """Removing GPS leaves camera, time and orientation unchanged."""
    block = exif_block(
        order, texts={0x0110: "M10"}, details={0x9003: "2020:01:02 03:04:05"}, orientation=6
    )
    body = jpeg_with(jpeg_segment(0xE1, EXIF + block))
    inspected = inspect(body, POLICY)
    metadata = inspect(inspected.body, POLICY).metadata
    assert len(inspected.body) == len(body)
    assert (metadata.width, metadata.height) == (48, 64)
    assert (metadata.camera, metadata.capture_time) == ("M10", "2020-01-02T03:04:05")
    with Image.open(BytesIO(inspected.body)) as image:
        details = image.getexif().get_ifd(ExifTags.IFD.Exif)
        assert details[0x9003] == "2020:01:02 03:04:05"


def test_a_caption_survives_beside_a_city() -> None:
    """Only those of Photoshop's resources are dropped that hold a location."""
    body = jpeg_with(jpeg_segment(0xED, PHOTOSHOP + RESOLUTION + CITY + RESOLUTION))
    stored = inspect(body, POLICY).body
    assert PHOTOSHOP + RESOLUTION + RESOLUTION in stored


def test_a_gps_directory_with_only_its_version_is_no_location() -> None:
    """Cameras without a GPS fix write an empty GPS directory. Such a file is stored unchanged."""
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({0: b"\x02\x03\0\0"})
    body = jpeg_with(jpeg_segment(0xE1, EXIF + exif.tobytes().removeprefix(EXIF)))
    assert inspect(body, POLICY).body is body


def test_png_text_that_cannot_be_read_is_dropped() -> None:
    """Text that exceeds its limit when inflated, or cannot be inflated, is dropped but is no location."""
    bomb = Image.new("1", (12_000, 1_000))
    out = BytesIO()
    bomb.save(out, "PNG")
    packed = next(
        part for part in _chunks(out.getvalue()) if part.startswith(b"IDAT")
    ).removeprefix(b"IDAT")
    for text in (packed, b"not deflate"):
        chunk = png_chunk(b"zTXt", b"Comment\0\0" + text)
        inspected = inspect(png_with(chunk), POLICY)
        assert inspected.body == gradient_image("PNG")
        assert not inspected.metadata.had_location


def test_deflated_exif_in_png_is_dropped() -> None:
    """A chunk that only ExifTool reads is always dropped."""
    body = png_with(png_chunk(b"zxIf", b"\0" + zlib.compress(exif_block())))
    assert inspect(body, POLICY).body == gradient_image("PNG")


def _chunks(body: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(body):
        size = int.from_bytes(body[at : at + 4], "big")
        found.append(body[at + 4 : at + 8 + size])
        at += size + 12
    return found


def test_the_headers_of_a_webp_follow_a_dropped_chunk() -> None:
    """The flag in the extended header and the RIFF size change with the dropped chunk."""
    stored = inspect(webp_with([(b"XMP ", xmp_packet())], flags=0x04), POLICY).body
    assert stored == webp_with([], flags=0)


def test_directories_that_overlap_are_not_published() -> None:
    """A block whose rewritten table would restore another table is rejected, or has no location afterwards."""
    block = bytearray(exif_block(">"))
    count = int.from_bytes(block[8:10], "big")
    gps_at = int.from_bytes(block[10 + 8 : 10 + 12], "big")
    pointer = 10 + count * 12
    block[pointer : pointer + 4] = gps_at.to_bytes(4, "big")
    body = jpeg_with(jpeg_segment(0xE1, EXIF + bytes(block)))
    try:
        stored = inspect(body, POLICY).body
    except LocationNotRemovable:
        return
    with Image.open(BytesIO(stored)) as image:
        assert not image.getexif().get_ifd(ExifTags.IFD.GPSInfo)

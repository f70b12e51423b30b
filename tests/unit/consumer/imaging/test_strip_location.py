import struct
import zlib
from io import BytesIO
from typing import Literal

import pytest
from PIL import ExifTags, Image, ImageSequence, PngImagePlugin, TiffImagePlugin

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, MetadataPolicy
from core.errors import LocationNotRemovable
from core.model.image import RemovedPart
from harness.images import (
    exif_block,
    gradient_image,
    iptc_dataset,
    jpeg_segment,
    jpeg_with,
    jpeg_with_gps,
    photoshop_resource,
    png_chunk,
    png_with,
    raw_profile,
    riff_chunk,
    webp_with,
    xmp_packet,
)
from harness.located_chunks import gif_with
from harness.located_images import (
    CITY,
    LOCATED,
    PHOTOSHOP,
    PLAIN_XMP,
    RESOLUTION,
    SECRETS,
    XMP,
    bmp_with_gap,
    jpeg_with_note,
    saved,
    tiff_with,
)
from harness.metadata_blocks import (
    EXIF,
    box,
    credentials,
    gif_extension,
    gif_xmp,
    jumbf_segments,
    thermal_segments,
    thumbnail_block,
)

# Pillow warns about a damaged EXIF block and skips it.
pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning:PIL")

POLICY = ImagePolicy()
CAPTION = photoshop_resource(0x0404, iptc_dataset(120, b"A caption"))
MPF = jpeg_segment(0xE2, b"MPF\0MM\0*\0\0\0\x08\0\0\0\0\0\0")

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
    "jpeg, unusual label": jpeg_with(jpeg_segment(0xE7, b"Vendor\0" + exif_block(gps=False))),
    "jpeg, comment": jpeg_with(jpeg_segment(0xFE, b"Taken at 52.5 N, 13.4 E")),
    "jpeg, content credentials": jpeg_with(*jumbf_segments(credentials(b'{"exif:Make": "A"}'))),
    "jpeg, no place in the maker note": jpeg_with_note(
        b"Panasonic\0\0\0", (0x6D, 7, 64, b"---".ljust(64, b"\0")), make=b"Panasonic\0"
    ),
    "jpeg, city of the clock": jpeg_with_note(
        b"AOC\0II", (0x23, 3, 1, b"\x05\0"), make=b"PENTAX\0"
    ),
    "png, unknown chunk": png_with(png_chunk(b"tXMP", PLAIN_XMP)),
    "png, long text": png_with(
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"word " * 400_000))
    ),
    "gif, extensions": gif_with(
        gif_extension(b"\xfe", b"A comment"), gif_extension(b"\xff", b"NETSCAPE2.0\1\0\0", 11)
    ),
    "gif, xmp": gif_with(gif_xmp(PLAIN_XMP)),
    "tiff, xmp": tiff_with(700, PLAIN_XMP),
    "tiff, image resources": tiff_with(34377, RESOLUTION + CAPTION),
    "avif, exif and xmp": saved("AVIF", exif=EXIF + exif_block(gps=False), xmp=PLAIN_XMP),
    "avif, box": gradient_image("AVIF") + box(b"uuid", bytes(16) + PLAIN_XMP),
    "webp, content credentials": webp_with([(b"C2PA", credentials(b'{"exif:Make": "A"}'))]),
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


@pytest.mark.parametrize("body", LOCATED.values(), ids=LOCATED.keys())
def test_location_is_removed_and_pixels_stay(body: bytes) -> None:
    """The stored body has no location, and no pixel changes."""
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
    assert not [secret for secret in SECRETS if secret in stored]


@pytest.mark.parametrize("body", LOCATED.values(), ids=LOCATED.keys())
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


def test_a_pointer_to_no_gps_directory_is_no_location() -> None:
    """Some writers reset the pointer instead of removing it."""
    block = exif_block()
    at = block.index(b"\x88\x25\0\4\0\0\0\1") + 8
    body = jpeg_with(jpeg_segment(0xE1, EXIF + block[:at] + bytes(4) + block[at + 4 :]))
    assert inspect(body, POLICY).body is body


UNREADABLE = {
    "damaged": b"not deflate",
    "long": zlib.compress(bytes(17_000_000)),
    "long profile": zlib.compress(b"\nexif\n 600000\n" + b"00" * 600_000),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_png_text_that_cannot_be_searched_is_dropped(name: str) -> None:
    """It is reported as other metadata than a location."""
    keyword = b"Raw profile type exif" if "profile" in name else b"Comment"
    body = png_with(png_chunk(b"zTXt", keyword + b"\0\0" + UNREADABLE[name]))
    inspected = inspect(body, POLICY)
    assert inspected.body == gradient_image("PNG")
    assert not inspected.metadata.had_location
    assert inspected.metadata.removed == (RemovedPart.METADATA,)


def test_all_texts_of_a_png_share_one_budget() -> None:
    """Texts of nine megabytes each: the second one exceeds the sixteen that are searched."""
    text = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(9_000_000)))
    assert inspect(png_with(text, text), POLICY).body == png_with(text)


@pytest.mark.parametrize(
    "located",
    [
        tiff_with(37724, xmp_packet()),
        saved("AVIF") + box(b"free", xmp_packet()),
        bmp_with_gap(xmp_packet()),
    ],
    ids=["tiff", "avif", "bmp"],
)
def test_a_file_of_offsets_keeps_its_length(located: bytes) -> None:
    """Metadata of formats with offsets is blanked in place. A packet that no offset leads to is blanked as well."""
    inspected = inspect(located, POLICY)
    assert len(inspected.body) == len(located)
    assert xmp_packet() not in inspected.body


def test_only_the_located_entries_of_a_tiff_are_removed() -> None:
    """Resolution and caption stay when a city is removed from the image resources."""
    body = tiff_with(34377, CAPTION + CITY + RESOLUTION)
    stored = inspect(body, POLICY).body
    with Image.open(BytesIO(stored)) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)
        assert bytes(image.tag_v2[34377]).rstrip(b"\0") == (CAPTION + RESOLUTION).rstrip(b"\0")


CLOCKS = {
    "Pentax": (b"AOC\0II", (0x23, 3, 1, b"\x05\0"), b"PENTAX\0"),
    "Casio": (b"QVC\0\0\0", (0x3006, 2, 7, b"Berlin\0"), b"CASIO\0"),
    "Canon": (b"", (0x35, 4, 4, bytes(16)), b"Canon\0"),
}


@pytest.mark.parametrize("maker", CLOCKS)
@pytest.mark.parametrize("gps", [True, False])
def test_the_city_of_the_clock_is_removed_beside_gps(maker: str, *, gps: bool) -> None:
    """Alone it is a setting of the camera, and stays."""
    label, entry, make = CLOCKS[maker]
    start = entry[0].to_bytes(2, "little") + entry[1].to_bytes(2, "little")
    stored = inspect(jpeg_with_note(label, entry, make=make, gps=gps), POLICY).body
    assert (start + entry[2].to_bytes(4, "little") in stored) is not gps


@pytest.mark.parametrize(
    "body",
    [
        jpeg_with(jpeg_segment(0xE1, b"xExif\0\0" + exif_block()), b"\0\0stray"),
        jpeg_with(MPF, b"\0\0stray") + gradient_image("JPEG"),
    ],
    ids=["location", "index"],
)
def test_stray_bytes_do_not_become_the_start_of_a_jpeg(body: bytes) -> None:
    """They are dropped with the segment before them, because the first bytes after the start tell the format."""
    assert inspect(body, POLICY).body == gradient_image("JPEG")


def test_a_gif_keeps_its_other_extensions() -> None:
    """The comment, the loop and the frames stay when XMP is removed."""
    comment = gif_extension(b"\xfe", b"A comment")
    loop = gif_extension(b"\xff", b"NETSCAPE2.0\1\0\0", 11)
    stored = inspect(gif_with(comment, gif_xmp(xmp_packet()), loop), POLICY).body
    assert stored == gif_with(comment, loop)


def test_a_long_text_is_searched_in_pieces() -> None:
    """A location after the first megabyte of a deflated packet is found."""
    packet = xmp_packet(f'dc:description="{"word " * 300_000}" exif:GPSLatitude="52,31.2N"')
    text = b"XML:com.adobe.xmp\0\x01\0\0\0" + zlib.compress(packet)
    inspected = inspect(png_with(png_chunk(b"iTXt", text)), POLICY)
    assert inspected.metadata.had_location
    assert inspected.body == gradient_image("PNG")


@pytest.mark.parametrize("name", [b"META", b"LIST", b"gps0", b"exif"])
def test_a_webp_has_no_chunks_of_unknown_types(name: bytes) -> None:
    """Some hold a location in a format of their own. Readers ignore them (RFC 9649, section 2.7.1.6)."""
    inspected = inspect(webp_with([(name, b"LOCA\x06\0\0\0Munich")], flags=0), POLICY)
    assert inspected.body == webp_with([], flags=0)
    assert not inspected.metadata.had_location
    assert inspected.metadata.removed == (RemovedPart.METADATA,)


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


HIDDEN = {"xmp": xmp_packet(), "exif": exif_block()}
BEHIND = {
    "JFIF": (0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0"),
    "Adobe": (0xEE, b"Adobe\0\x64\0\0\0\0\1"),
    "a colour profile": (0xE2, b"ICC_PROFILE\0\1\1"),
    "an index of images": (0xE2, b"MPF\0"),
    "image resources": (0xED, b"Photoshop 3.0\0"),
    "a thermal image": (0xE1, b"FLIR\0\1\0\0"),
    "XMP": (0xE1, XMP),
    "an extension of XMP": (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40),
}


@pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO:UserWarning:PIL")
@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize(("marker", "label"), BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("policy", ["strip-location", "strip-all"])
def test_a_location_behind_a_known_label_is_removed(
    marker: int, label: bytes, hidden: bytes, policy: MetadataPolicy
) -> None:
    """A label does not tell what a reader finds behind it. The image keeps its pixels and its standard segments."""
    body = jpeg_with(jpeg_segment(marker, label + hidden))
    inspected = inspect(body, ImagePolicy(metadata=policy))
    assert inspected.metadata.had_location
    assert hidden not in inspected.body
    assert pixels(inspected.body) == pixels(body)


def test_a_resource_behind_stray_bytes_is_found() -> None:
    body = jpeg_with(jpeg_segment(0xED, PHOTOSHOP + b"xx" + CITY))
    inspected = inspect(body, POLICY)
    assert inspected.metadata.had_location
    assert b"Berlin" not in inspected.body


def test_an_index_with_a_location_is_dropped_once_before_a_second_image() -> None:
    body = jpeg_with(jpeg_segment(0xE2, b"MPF\0" + xmp_packet())) + gradient_image("JPEG")
    assert inspect(body, POLICY).body == gradient_image("JPEG")


def test_segments_of_a_fixed_size_lose_what_follows_it() -> None:
    """JFIF and Adobe's segment tell how to decode, so they stay."""
    adobe = jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\1")
    located = jpeg_with(jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + xmp_packet()))
    assert inspect(located, POLICY).body == jpeg_with(adobe)


THERMAL_FIX = b"\1\0\0\0\2\2\0\0N\0E\0"


@pytest.mark.parametrize("fix", [b"\0\0\0\1", bytes(4)], ids=["big-endian", "an old fix"])
def test_every_position_of_a_thermal_camera_is_erased(fix: bytes) -> None:
    """The byte order differs between cameras, and the flag of a fix does not erase the last position."""
    body = jpeg_with(*thermal_segments()).replace(THERMAL_FIX, fix + THERMAL_FIX[4:])
    inspected = inspect(body, POLICY)
    assert inspected.metadata.had_location
    assert THERMAL_FIX[4:] not in inspected.body


def test_a_thermal_camera_without_a_position_has_no_location() -> None:
    body = jpeg_with(*thermal_segments())
    for degrees in (52.52, 13.4):
        body = body.replace(struct.pack("<d", degrees), bytes(8))
    assert inspect(body, POLICY).body is body

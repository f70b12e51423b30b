"""The removal of a location never changes coded pixels: a file in which both overlap is refused."""

import struct

import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy, MetadataPolicy
from core.errors import LocationNotRemovable
from harness.images import exif_block, gradient_image, jpeg_segment, jpeg_with, xmp_packet

SIDE = 64
PIXELS = bytes(range(SIDE)) * SIDE
PIXELS_AT, TABLE_AT = 8, 8 + len(PIXELS)
LONG, SHORT, UNDEFINED = 4, 3, 7
Entry = tuple[int, int, int, int]


def table(*entries: Entry) -> bytes:
    """Return a directory. Entries are tag, type, count and value."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + rows + bytes(4)


def tiff(coded: bytes, *entries: Entry, gps: Entry | None = None) -> bytes:
    """Return a TIFF of one strip, whose GPS directory has one entry."""
    at = 8 + len(coded)
    size = len(table(*entries, *[(0x8825, LONG, 1, 0)] * bool(gps)))
    main = table(*entries, (0x8825, LONG, 1, at + size)) + table(gps) if gps else table(*entries)
    return b"II*\0" + at.to_bytes(4, "little") + coded + main


def gray_tiff(gps: Entry, strip_bytes: int = len(PIXELS)) -> bytes:
    size = (256, SHORT, 1, SIDE), (257, SHORT, 1, SIDE), (258, SHORT, 1, 8), (259, SHORT, 1, 1)
    strip = (262, SHORT, 1, 1), (273, LONG, 1, PIXELS_AT), (279, LONG, 1, strip_bytes)
    return tiff(PIXELS, *size, *strip, gps=gps)


def old_jpeg_tiff() -> bytes:
    """Return a TIFF of old-style JPEG (TIFF 6.0, section 22), which has EXIF of its own."""
    coded = jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + exif_block()))
    coded += b"\0" * (len(coded) % 2)
    size = (256, SHORT, 1, 64), (257, SHORT, 1, 48), (258, SHORT, 1, 8), (259, SHORT, 1, 6)
    strip = (262, SHORT, 1, 6), (273, LONG, 1, 8), (277, SHORT, 1, 3), (279, LONG, 1, len(coded))
    return tiff(coded, *size, *strip, (513, LONG, 1, 8), (514, LONG, 1, len(coded)))


def bmp_of_a_packet() -> bytes:
    """Return a BMP whose pixels are XMP."""
    body, packet = gradient_image("BMP"), xmp_packet()
    at = int.from_bytes(body[10:14], "little")
    return body[:at] + packet + body[at + len(packet) :]


OVERLAPPING = {
    "tiff, gps": gray_tiff((0x1B, UNDEFINED, len(PIXELS) // 2, PIXELS_AT)),
    "tiff, gps in the last bytes": gray_tiff((0x1B, UNDEFINED, 8, TABLE_AT - 4)),
    "tiff, strip without a length": gray_tiff((0x1B, UNDEFINED, 8, PIXELS_AT + 8), strip_bytes=0),
    "tiff, old-style jpeg": old_jpeg_tiff(),
    "bmp": bmp_of_a_packet(),
}


@pytest.mark.parametrize("metadata", ["strip-location", "strip-all"])
@pytest.mark.parametrize("body", OVERLAPPING.values(), ids=OVERLAPPING)
def test_a_location_among_pixels_is_not_removable(body: bytes, metadata: MetadataPolicy) -> None:
    """Erasing it would change the image."""
    with pytest.raises(LocationNotRemovable, match="among the pixels"):
        inspect(body, ImagePolicy(metadata=metadata))


def test_a_location_behind_the_pixels_is_removable() -> None:
    """Also if a strip without compression claims to be longer than its pixels: decoders ignore that."""
    body = gray_tiff((0x1D, 2, 4, int.from_bytes(b"1:2\0", "little")), strip_bytes=len(PIXELS) + 90)
    inspected = inspect(body, ImagePolicy())
    assert inspected.metadata.had_location
    assert PIXELS in inspected.body

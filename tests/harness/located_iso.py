"""AVIF and HEIC with a location in unusual boxes, items and tracks."""

import struct

from harness.heic_files import box, full_box, heic, number
from harness.images import exif_block, gradient_image, xmp_packet
from harness.metadata_blocks import directory, gps_entries

_HANDLER_SIZE, _PRIMARY_SIZE = 33, 14
_UUID_CANON = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_MOVIE_HEADER = box(b"mvhd", bytes(12) + struct.pack(">II", 1_000, 1_000) + bytes(80))
LATITUDE = struct.pack("<d", 48.25)


def track(handler: bytes, offset: int, *, size: int, chunks: int = 1) -> bytes:
    """Return a track. Each of its chunks is one sample of `size` bytes at `offset`."""
    entries = full_box(b"stsd", number(1, 4) + box(handler, bytes(6) + b"\0\1"))
    times = full_box(b"stts", struct.pack(">III", 1, chunks, 1_000))
    tables = entries + times + full_box(b"stsc", struct.pack(">IIII", 1, 1, 1, 1))
    tables += full_box(b"stsz", struct.pack(">II", size, chunks))
    tables += full_box(b"stco", number(chunks, 4) + number(offset, 4) * chunks)
    media = full_box(b"mdhd", bytes(8) + struct.pack(">II", 1_000, 1_000) + bytes(4))
    media += full_box(b"hdlr", bytes(4) + handler + bytes(13))
    media += box(b"minf", full_box(b"nmhd", b"") + box(b"stbl", tables))
    return box(b"trak", full_box(b"tkhd", bytes(80)) + box(b"mdia", media))


def with_track(body: bytes, handler: bytes = b"camm") -> bytes:
    """Append a track with one sample: a position in Google's camera motion metadata."""
    sample = struct.pack("<HH", 0, 5) + LATITUDE + struct.pack("<dd", 11.5, 500.0)
    size = len(box(b"moov", _MOVIE_HEADER + track(handler, 0, size=len(sample))))
    moved = track(handler, len(body) + size + 8, size=len(sample))
    return body + box(b"moov", _MOVIE_HEADER + moved) + box(b"mdat", sample)


def with_canon_box(body: bytes) -> bytes:
    """Append Canon's box, in which a GPS directory is the first one of a TIFF block."""
    block = b"II*\0\x08\0\0\0" + directory(8, gps_entries("little"), "little")
    return body + box(b"uuid", _UUID_CANON + box(b"CMT4", block))


def with_handler_last(body: bytes) -> bytes:
    """Swap the first two boxes of the metadata box of `heic`: handler and primary item."""
    start = body.index(b"hdlr") - 4
    middle, stop = start + _HANDLER_SIZE, start + _HANDLER_SIZE + _PRIMARY_SIZE
    assert body[middle + 4 : middle + 8] == b"pitm"
    return body[:start] + body[middle:stop] + body[start:middle] + body[stop:]


def with_old_entry(body: bytes) -> bytes:
    """Append a metadata box with an EXIF item whose entry has no type, but a name that looks like one."""
    block = exif_block()
    entry = full_box(b"infe", number(1) + number(0) + b"hvc1\0application/octet-stream\0")
    entries = full_box(b"iinf", number(1) + entry)

    def movie(offset: int) -> bytes:
        place = number(1) + number(0) + number(1) + number(offset, 4) + number(len(block), 4)
        locations = full_box(b"iloc", b"\x44\0" + number(1) + place)
        return box(b"moov", _MOVIE_HEADER + full_box(b"meta", entries + locations))

    offset = len(body) + len(movie(0)) + 8
    return body + movie(offset) + box(b"mdat", block)


def with_item_in_user_data(body: bytes) -> bytes:
    """Append a movie whose user data has a metadata box with an EXIF item."""
    item = bytes(4) + exif_block()
    entry = full_box(b"infe", number(1) + number(0) + b"Exif\0", version=2)
    entries = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13)) + full_box(b"pitm", number(1))
    entries += full_box(b"iinf", number(1) + entry)

    def movie(offset: int) -> bytes:
        place = number(1) + number(0) + number(1) + number(offset, 4) + number(len(item), 4)
        meta = full_box(b"meta", entries + full_box(b"iloc", b"\x44\0" + number(1) + place))
        return box(b"moov", _MOVIE_HEADER + box(b"udta", meta))

    offset = len(body) + len(movie(0)) + 8
    return body + movie(offset) + box(b"mdat", item)


def with_overlapping_item(body: bytes) -> bytes:
    """Append a metadata box with an item of two pieces: a packet with a location, and a part of the coded image."""
    packet = xmp_packet()
    entry = full_box(b"infe", number(1) + number(0) + b"mime\0application/rdf+xml\0", version=2)
    entries = full_box(b"iinf", number(1) + entry)
    image = body.index(b"mdat") + 20

    def movie(offset: int) -> bytes:
        place = number(1) + number(0) + number(2) + number(offset, 4) + number(len(packet), 4)
        place += number(image, 4) + number(20, 4)
        locations = full_box(b"iloc", b"\x44\0" + number(1) + place)
        return box(b"moov", _MOVIE_HEADER + full_box(b"meta", entries + locations))

    offset = len(body) + len(movie(0)) + 8
    return body + movie(offset) + box(b"mdat", packet)


_AVIF = gradient_image("AVIF")
LOCATED_ISO = {
    "heic, handler after other boxes": with_handler_last(heic(exif=exif_block())),
    "heic, camera motion track": with_track(heic()),
    "avif, camera motion track": with_track(_AVIF),
    "avif, text track": with_track(_AVIF, b"text"),
    "heic, box of Canon": with_canon_box(heic()),
    "heic, item in user data": with_item_in_user_data(heic()),
    "avif, exif item of an old entry": with_old_entry(_AVIF),
}
OVERLAPPING_ISO = {
    "avif, item shares bytes with the image": with_overlapping_item(_AVIF),
    "heic, item shares bytes with the image": with_overlapping_item(heic()),
}

"""Builds blocks of metadata: EXIF directories and maker notes, XMP extensions, content credentials, boxes."""

import struct
from collections.abc import Callable
from typing import Literal

from harness.images import exif_block, gradient_image, jpeg_segment, jpeg_with

EXIF = b"Exif\0\0"
XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32


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


def box(name: bytes, payload: bytes) -> bytes:
    """Return a box of ISO media files or of JUMBF."""
    return (len(payload) + 8).to_bytes(4, "big") + name + payload


def jumbf(label: bytes, content: bytes) -> bytes:
    """Return a JUMBF superbox (ISO/IEC 19566-5, annex A) with a C2PA label."""
    kind = b"c2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"
    return box(b"jumb", box(b"jumd", kind + b"\x03" + label + b"\0") + content)


def credentials(assertion: bytes = b'{"exif:GPSLatitude": "52,31.2N"}') -> bytes:
    """Return a C2PA manifest store with one assertion, unsigned."""
    assertions = jumbf(b"c2pa.assertions", jumbf(b"stds.exif", box(b"json", assertion)))
    return jumbf(b"c2pa", jumbf(b"urn:uuid:0", assertions))


def jumbf_segments(data: bytes, *, split: int = 0) -> list[bytes]:
    """Return the APP11 segments of a box. Each repeats the header of the box."""
    pieces = (data[:split], data[:8] + data[split:]) if split else (data,)
    return [
        jpeg_segment(0xEB, b"JP\0\x01" + number.to_bytes(4, "big") + piece)
        for number, piece in enumerate(pieces, start=1)
    ]


Order = Literal["little", "big"]
IfdEntry = tuple[int, int, int, bytes]
"""Tag, type, count and value."""
Part = tuple[IfdEntry, bytes]
"""An entry, and the bytes that it points to."""
INLINE = 4


def directory(at: int, entries: list[IfdEntry], order: Order, *, base: int = 0) -> bytes:
    """Return a directory at an offset, followed by its values. Their offsets count from `base`."""
    table, values = len(entries).to_bytes(2, order), b""
    values_at = at + 2 + 12 * len(entries) + 4
    for tag, kind, count, value in entries:
        field = value.ljust(4, b"\0")
        if len(value) > INLINE:
            field = (values_at + len(values) - base).to_bytes(4, order)
            values += value + bytes(len(value) % 2)
        table += tag.to_bytes(2, order) + kind.to_bytes(2, order) + count.to_bytes(4, order) + field
    return table + bytes(4) + values


def _text(tag: int, value: bytes) -> IfdEntry:
    return tag, 2, len(value), value


def _undefined(tag: int, value: bytes) -> IfdEntry:
    return tag, 7, len(value), value


def gps_entries(order: Order) -> list[IfdEntry]:
    degrees = b"".join(part.to_bytes(4, order) for part in (52, 1, 31, 1, 12, 1))
    return [_text(1, b"N\0"), (2, 5, 3, degrees), _text(3, b"E\0"), (4, 5, 3, degrees)]


def block_of(
    *parts: Callable[[int], Part],
    make: bytes = b"Maker\0",
    order: Order = "little",
    inside_exif: bool = False,
) -> bytes:
    """Return an EXIF block. Each part gets its offset, and returns its entry and what follows the directory.

    inside_exif: whether the entries are in the EXIF directory instead of the main one.
    """
    header = (b"II*\0" if order == "little" else b"MM\0*") + (8).to_bytes(4, order)
    main_at, parts_at = 8, 200
    entries, data = [], b""
    for part in parts:
        entry, appended = part(parts_at + len(data))
        entries.append(entry)
        data += appended
    entries.sort()
    if inside_exif:
        pointer = (0x8769, 4, 1, (100).to_bytes(4, order))
        main = directory(main_at, [_text(0x010F, make), pointer], order)
        main = main.ljust(100 - main_at, b"\0") + directory(100, entries, order)
    else:
        main = directory(main_at, [_text(0x010F, make), *entries], order)
    assert len(main) <= parts_at - main_at
    return header + main.ljust(parts_at - main_at, b"\0") + data


def value_part(tag: int, kind: int, count: int, value: bytes) -> Callable[[int], Part]:
    """An entry with its value."""
    if len(value) <= INLINE:
        return lambda _: ((tag, kind, count, value), b"")
    return lambda at: ((tag, kind, count, at.to_bytes(INLINE, "little")), value)


def gps_part(tag: int = 0x8825, order: Order = "little") -> Callable[[int], Part]:
    """A pointer to a GPS directory."""
    return lambda at: ((tag, 4, 1, at.to_bytes(4, order)), directory(at, gps_entries(order), order))


def pointer_part(tag: int, order: Order = "little") -> Callable[[int], Part]:
    """A pointer to a directory that points to a GPS directory."""

    def part(at: int) -> Part:
        gps_at = at + 18
        pointing = directory(at, [(0x8825, 4, 1, gps_at.to_bytes(4, order))], order)
        gps = directory(gps_at, gps_entries(order), order)
        return (tag, 4, 1, at.to_bytes(4, order)), pointing + gps

    return part


def note_part(
    label: bytes, entries: list[IfdEntry], *, order: Order = "little", base: int | None = None
) -> Callable[[int], Part]:
    """A maker note. base: what its offsets count from, relative to the note, or None for the block."""

    def part(at: int) -> Part:
        start = at + len(label)
        counted = 0 if base is None else at + base
        note = label + directory(start, entries, order, base=counted)
        return (0x927C, 7, len(note), at.to_bytes(4, order)), note

    return part


def nikon_part(at: int) -> Part:
    """A maker note with a TIFF header of its own."""
    place = b"0100\0DEU\0" + b"Berlin".ljust(70, b"\0")
    note = b"Nikon\0\x02\x10\0\0MM\0*\0\0\0\x08" + directory(8, [_undefined(0x39, place)], "big")
    return (0x927C, 7, len(note), at.to_bytes(4, "little")), note


def thermal_segments() -> list[bytes]:
    """Return the GPS record of a thermal camera, in two segments."""
    record = (
        b"\x01\0\0\0\2\2\0\0N\0E\0"
        + bytes(4)
        + struct.pack("<ddf", 52.52, 13.4, 34.0)
        + bytes(52)
        + b"WGS-84".ljust(16, b"\0")
    )
    entry = struct.pack(">HHIIIIIII", 0x2B, 2, 0x64, 0, 96, len(record), 0, 0, 0)
    file = (
        b"FFF\0"
        + b"CAM".ljust(16, b"\0")
        + struct.pack(">III", 0x64, 64, 1)
        + bytes(32)
        + entry
        + record
    )
    return [
        jpeg_segment(0xE1, b"FLIR\0\1" + bytes((index, 1)) + piece)
        for index, piece in enumerate((file[:120], file[120:]))
    ]


def gif_xmp(packet: bytes) -> bytes:
    """Return XMP as one text, with the trailer that leads readers of sub-blocks to its end (XMP, part 3, 1.1.2)."""
    return b"!\xff\x0bXMP DataXMP" + packet + b"\x01" + bytes(range(255, -1, -1)) + b"\0"


def gif_extension(label: bytes, text: bytes, size: int = 200) -> bytes:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return b"!" + label + b"".join(bytes((len(each),)) + each for each in pieces) + b"\0"

"""Images with a location, of every kind that is removed: in each format, under usual and unusual labels."""

import struct
from io import BytesIO

from PIL import Image

from harness.heic_files import heic
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
    sample,
    tiff_with_gps,
    webp_with,
    xmp_packet,
)
from harness.located_chunks import CHUNKS, OTHER_VERSION
from harness.located_iso import LOCATED_ISO, OVERLAPPING_ISO
from harness.metadata_blocks import (
    EXIF,
    XMP_EXTENSION,
    IfdEntry,
    _text,
    _undefined,
    block_of,
    box,
    credentials,
    directory,
    extended_xmp,
    gps_entries,
    gps_part,
    jumbf,
    jumbf_segments,
    nikon_part,
    note_part,
    pointer_part,
    thermal_segments,
    thumbnail_block,
    value_part,
)

XMP = b"http://ns.adobe.com/xap/1.0/\0"
PHOTOSHOP = b"Photoshop 3.0\0"
CITY = photoshop_resource(0x0404, iptc_dataset(90, b"Berlin"))
RESOLUTION = photoshop_resource(0x03ED, bytes(16))
PLAIN_XMP = xmp_packet('dc:title="Holiday" tiff:Make="Canon" photoshop:City=""')


def jpeg_with_block(block: bytes) -> bytes:
    return jpeg_with(jpeg_segment(0xE1, EXIF + block))


def jpeg_with_note(
    label: bytes, *entries: IfdEntry, make: bytes, gps: bool = False, base: int | None = None
) -> bytes:
    parts = [note_part(label, list(entries), base=base), *([gps_part()] if gps else [])]
    return jpeg_with_block(block_of(*parts, make=make, inside_exif=not gps))


def saved(kind: str, **extra: object) -> bytes:
    out = BytesIO()
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(out, kind, **extra)
    return out.getvalue()


def bmp_with_gap(gap: bytes) -> bytes:
    """Return a BMP with bytes between its header and its pixels."""
    body, header = gradient_image("BMP"), 54
    return (
        body[:10]
        + (header + len(gap)).to_bytes(4, "little")
        + body[14:header]
        + gap
        + body[header:]
    )


def tiff_with(tag: int, value: object) -> bytes:
    return saved("TIFF", tiffinfo={tag: value})


def tiff_with_gps_on_its_second_page() -> bytes:
    """Return two pages with the same pixels. The second page's directory is the first one's and a GPS pointer."""
    body = saved("TIFF")
    at = int.from_bytes(body[4:8], "little")
    count = int.from_bytes(body[at : at + 2], "little")
    table_end = at + 2 + 12 * count
    page_at = len(body)
    gps_at = page_at + 2 + 12 * (count + 1) + 4
    pointer = struct.pack("<HHII", 0x8825, 4, 1, gps_at)
    page = (count + 1).to_bytes(2, "little") + body[at + 2 : table_end] + pointer + bytes(4)
    gps = directory(gps_at, gps_entries("little"), "little")
    return body[:table_end] + page_at.to_bytes(4, "little") + body[table_end + 4 :] + page + gps


def avif_in_two_extents() -> bytes:
    """Return an AVIF whose EXIF item lies in two pieces."""
    body = saved("AVIF", exif=EXIF + exif_block())
    at = body.index(b"iloc")
    size = int.from_bytes(body[at - 4 : at], "big")
    table = body[at + 4 : at - 4 + size]
    # Version 0 with offsets and lengths of four bytes: id, reference, number of extents, and each extent.
    assert table[:6] == b"\0\0\0\0\x44\0"
    rows = [table[8 + row * 14 : 22 + row * 14] for row in range(int.from_bytes(table[6:8], "big"))]
    start, length = (
        int.from_bytes(rows[-1][6:10], "big") + 8,
        int.from_bytes(rows[-1][10:14], "big"),
    )
    moved = [
        row[:6] + (int.from_bytes(row[6:10], "big") + 8).to_bytes(4, "big") + row[10:]
        for row in rows[:-1]
    ]
    split = length // 2
    pieces = ((start, split), (start + split, length - split))
    last = (
        rows[-1][:4]
        + b"\0\2"
        + b"".join(a.to_bytes(4, "big") + n.to_bytes(4, "big") for a, n in pieces)
    )
    longer = (size + 8).to_bytes(4, "big") + b"iloc" + table[:8] + b"".join(moved) + last
    body = body[: at - 4] + longer + body[at - 4 + size :]
    meta = body.index(b"meta") - 4
    meta_size = int.from_bytes(body[meta : meta + 4], "big") + 8
    return body[:meta] + meta_size.to_bytes(4, "big") + body[meta + 4 :]


UUID_XMP = b"\xbe\x7a\xcf\xcb\x97\xa9\x42\xe8\x9c\x71\x99\x94\x91\xe3\xaf\xac"
UUID_C2PA = b"\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81"
KEYS = box(
    b"keys",
    bytes(4) + (1).to_bytes(4, "big") + box(b"mdta", b"com.apple.quicktime.location.ISO6709"),
)
ITEMS = box(b"ilst", box(b"\0\0\0\x01", box(b"data", b"\0\0\0\x01\0\0\0\0+52.5200+013.4050/")))
HANDLER = box(b"hdlr", bytes(8) + b"mdta" + bytes(13))
PLACE = b"Berlin".ljust(64, b"\0")
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
    "png raw profile without its type": png_with(
        png_chunk(
            b"tEXt",
            b"Raw profile type APP1\0\n\n%8d\n%b\n00\n"
            % (len(exif_block()), exif_block().hex().encode()),
        )
    ),
    "png text": png_with(png_chunk(b"tEXt", b"exif:GPSLatitude\x0052/1, 31/1, 12/1")),
    "png text in a sample": sample("coffee-text-location.png"),
    "webp exif": webp_with([(b"EXIF", exif_block())]),
    "webp exif with prefix": webp_with([(b"EXIF", EXIF + exif_block("<"))]),
    "webp xmp": webp_with([(b"XMP ", xmp_packet())], flags=0x04),
    "webp both": webp_with([(b"EXIF", exif_block()), (b"XMP ", xmp_packet())]),
    "exif in a sample": sample("palace-exif-location.jpg"),
    "xmp in a sample": sample("flower-xmp-location.jpg"),
}

_BLOCK_WITH_DETAILS = block_of(gps_part(), inside_exif=True)
_SPLIT_BLOCK = _BLOCK_WITH_DETAILS[:100], _BLOCK_WITH_DETAILS[100:]
"""The second piece has the EXIF directory, which points to the location."""
UNUSUAL_JPEG = {
    "xmp, label of a press agency": jpeg_with(
        jpeg_segment(0xE1, b"XMP\0://ns.adobe.com/xap/1.0/\0" + xmp_packet())
    ),
    "xmp, label without its end": jpeg_with(jpeg_segment(0xE1, XMP[:-1] + xmp_packet())),
    "xmp without a label": jpeg_with(jpeg_segment(0xE1, xmp_packet())),
    "xmp without its namespaces": jpeg_with(
        jpeg_segment(0xE1, b'<?xpacket begin=""?><a:b exif:GPSLatitude="52,31.2N"/>')
    ),
    "xmp, attributes without a space": jpeg_with(
        jpeg_segment(0xE1, XMP + xmp_packet('a:b="c"exif:GPSLatitude="52,31.2N"'))
    ),
    "xmp after junk": jpeg_with(jpeg_segment(0xE1, b"\0\0junk" + XMP + xmp_packet())),
    "xmp extension without the end of its label": jpeg_with(
        jpeg_segment(0xE1, XMP_EXTENSION[:34] + b"0" * 40 + xmp_packet())
    ),
    **{
        f"xmp in marker {marker:X}": jpeg_with(jpeg_segment(marker, XMP + xmp_packet()))
        for marker in (0xE0, 0xE2, 0xEA, 0xEB, 0xED, 0xEE, 0xEF, 0xFE)
    },
    "xmp split over comments": jpeg_with(
        jpeg_segment(0xFE, xmp_packet()[:150]), jpeg_segment(0xFE, xmp_packet()[150:])
    ),
    "xmp between segments": jpeg_with(jpeg_segment(0xFE, b"A comment"), xmp_packet()),
    "exif after junk": jpeg_with(jpeg_segment(0xE1, b"\0\0" + EXIF + exif_block())),
    "exif, junk after its label": jpeg_with(jpeg_segment(0xE1, EXIF + b"\0\0" + exif_block())),
    "exif, a second block in two segments": jpeg_with(
        *(
            jpeg_segment(0xE1, EXIF + piece)
            for piece in (exif_block(gps=False, texts={0x010F: "Maker"}), *_SPLIT_BLOCK)
        )
    ),
    "exif, another version after an unusual label": jpeg_with(
        jpeg_segment(0xE1, b"xExif\0\0" + OTHER_VERSION)
    ),
    "exif, another version after a label in capitals": jpeg_with(
        jpeg_segment(0xE1, b"EXIF\0\0" + OTHER_VERSION)
    ),
    "exif without a label": jpeg_with(jpeg_segment(0xE1, exif_block())),
    **{
        f"exif in marker {marker:X}": jpeg_with(jpeg_segment(marker, EXIF + exif_block("<")))
        for marker in (0xE0, 0xE2, 0xE4, 0xED, 0xFE)
    },
    "iptc, older label": jpeg_with(jpeg_segment(0xED, b"Adobe_Photoshop2.5:" + CITY)),
    "iptc, after a resource of another product": jpeg_with(
        jpeg_segment(0xED, PHOTOSHOP + RESOLUTION.replace(b"8BIM", b"PHUT") + CITY)
    ),
    "iptc, in another marker": jpeg_with(jpeg_segment(0xE5, PHOTOSHOP + CITY)),
    "iptc, without a label": jpeg_with(
        jpeg_segment(0xED, iptc_dataset(120, b"A caption") + iptc_dataset(90, b"Berlin"))
    ),
    "content credentials": jpeg_with(*jumbf_segments(credentials())),
    "content credentials, split": jpeg_with(*jumbf_segments(credentials(), split=200)),
    "content credentials, former label": jpeg_with(
        *jumbf_segments(
            jumbf(b"c2pa", jumbf(b"cai.location.precise", box(b"json", b'{"a": "52,31.2N"}')))
        )
    ),
    "content credentials, cbor": jpeg_with(
        *jumbf_segments(
            jumbf(
                b"c2pa", jumbf(b"stds.exif", box(b"cbor", b"\xa1\x70exif:GPSLatitude\x6852,31.2N"))
            )
        )
    ),
    "content credentials, thumbnail": jpeg_with(
        *jumbf_segments(
            jumbf(b"c2pa", jumbf(b"c2pa.thumbnail.claim.jpeg", box(b"bidb", jpeg_with_gps())))
        )
    ),
    "thermal camera": jpeg_with(*thermal_segments()),
    "action camera, no device": jpeg_with(
        jpeg_segment(0xE6, b"GoPro\0GPS5l\x14\0\x01" + bytes((0, 0, 52, 31)) * 5)
    ),
    "action camera": jpeg_with(
        jpeg_segment(0xE6, b"GoPro\0DEVC\0\x01\0\x1cGPS5l\x14\0\x01" + bytes((0, 0, 52, 31)) * 5)
    ),
}
DIRECTORIES = {
    "exif, another version number": jpeg_with_block(b"II\x55\0" + block_of(gps_part())[4:]),
    "exif, pointer with a signed type": jpeg_with_block(
        b"".join(
            (
                b"II*\0\x08\0\0\0",
                directory(8, [(0x8769, 9, 1, b"\x1a\0\0\0")], "little"),
                directory(26, [(0x8825, 9, 1, b"\x2c\0\0\0")], "little"),
                directory(44, gps_entries("little"), "little"),
            )
        )
    ),
    "exif, gps in the EXIF directory": jpeg_with_block(block_of(gps_part(), inside_exif=True)),
    "exif, gps in a sub-directory": jpeg_with_block(block_of(pointer_part(0x014A))),
    "exif, gps in the interoperability directory": jpeg_with_block(
        block_of(pointer_part(0xA005), inside_exif=True)
    ),
    "exif, gps twice": jpeg_with_block(block_of(gps_part(), gps_part())),
    "exif, two EXIF directories": jpeg_with_block(
        block_of(value_part(0x8769, 4, 1, b"\x08\0\0\0"), pointer_part(0x8769))
    ),
    "exif, iptc": jpeg_with_block(block_of(value_part(33723, 1, 11, iptc_dataset(90, b"Berlin")))),
    "exif, xmp outside its tag": jpeg_with_block(
        block_of(value_part(0x010E, 2, len(xmp_packet()), xmp_packet()))
    ),
    "maker note, Panasonic": jpeg_with_note(
        b"Panasonic\0\0\0", _undefined(0x6D, PLACE), make=b"Panasonic\0"
    ),
    "maker note, Panasonic, odd base": jpeg_with_note(
        b"Panasonic\0\0\0", _undefined(0x6F, PLACE), make=b"Panasonic\0", base=0
    ),
    "maker note, unknown base": jpeg_with_note(
        b"Panasonic\0\0\0", (0x6D, 7, 4_000, b"text"), make=b"Panasonic\0"
    ),
    "maker note, Leica": jpeg_with_note(b"LEICA\0\0\0", _undefined(0x69, PLACE), make=b"LEICA\0"),
    "maker note, Leica without its label": jpeg_with_note(
        b"NOTE\0\0\0\0", (0x69, 7, 64, PLACE), make=b"LEICA\0"
    ),
    "maker note, Samsung": jpeg_with_note(
        b"", _undefined(1, b"0100"), _text(0x31, PLACE), make=b"SAMSUNG\0", base=0
    ),
    "maker note, Nikon": jpeg_with_block(block_of(nikon_part, make=b"NIKON\0", inside_exif=True)),
    "maker note, Pentax beside gps": jpeg_with_note(
        b"AOC\0II", (0x23, 3, 1, b"\x05\0"), (0x24, 3, 1, b"\x06\0"), make=b"PENTAX\0", gps=True
    ),
    "maker note, Casio beside gps": jpeg_with_note(
        b"QVC\0\0\0", _text(0x3006, b"Berlin\0"), make=b"CASIO\0", gps=True
    ),
    "maker note, Canon beside gps": jpeg_with_note(
        b"",
        (0x35, 4, 4, bytes((16, 0, 0, 0, 60, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0))),
        make=b"Canon\0",
        gps=True,
    ),
}
_CITY = iptc_dataset(90, b"Berlin").ljust(12, b"\0")
SWAPPED_CITY = b"".join(_CITY[at : at + 4][::-1] for at in range(0, len(_CITY), 4))
WIDE_PACKET = xmp_packet().decode().encode("utf-16-le")
IN_PLACE = {
    "tiff gps": tiff_with_gps(),
    "tiff gps, second page": tiff_with_gps_on_its_second_page(),
    "tiff xmp": tiff_with(700, xmp_packet()),
    "tiff xmp outside its tag": tiff_with(37724, xmp_packet()),
    "tiff xmp after the image": gradient_image("TIFF") + xmp_packet(),
    "tiff xmp in UTF-16 after the image": gradient_image("TIFF") + WIDE_PACKET,
    "bmp xmp before its pixels": bmp_with_gap(xmp_packet()),
    "bmp xmp after the image": gradient_image("BMP") + xmp_packet(),
    "tiff iptc": tiff_with(33723, iptc_dataset(90, b"Berlin")),
    "tiff iptc, swapped bytes": tiff_with(33723, SWAPPED_CITY),
    "tiff iptc, tag of AXS": tiff_with(34152, iptc_dataset(90, b"Berlin")),
    "tiff image resources": tiff_with(34377, RESOLUTION + CITY),
    "geotiff": tiff_with(33922, (0.0, 0.0, 0.0, 13.4, 52.5, 0.0)),
    "avif exif": saved("AVIF", exif=EXIF + exif_block()),
    "avif exif with orientation": saved("AVIF", exif=EXIF + exif_block(orientation=6)),
    "avif exif in two pieces": avif_in_two_extents(),
    "avif xmp": saved("AVIF", xmp=xmp_packet()),
    "avif both": saved("AVIF", exif=EXIF + exif_block("<"), xmp=xmp_packet()),
    "avif, xmp in a box": gradient_image("AVIF") + box(b"uuid", UUID_XMP + xmp_packet()),
    "avif, content credentials": gradient_image("AVIF") + box(b"uuid", UUID_C2PA + credentials()),
    "avif, user data": gradient_image("AVIF")
    + box(b"moov", box(b"udta", box(b"\xa9xyz", b"\0\x12\x15\xc7+52.5200+013.4050/"))),
    "heic exif": heic(exif=exif_block()),
    "heic exif of a camera": sample("palace-exif-location.heic"),
    "heic exif in two blocks": heic(exif=exif_block(gps=False) + exif_block("<")),
    "heic, xmp in a box": heic() + box(b"uuid", UUID_XMP + xmp_packet()),
    "avif, keys": gradient_image("AVIF") + box(b"moov", box(b"meta", HANDLER + KEYS + ITEMS)),
    "avif animation exif": gradient_image("AVIF", frames=2) + box(b"uuid", UUID_XMP + xmp_packet()),
}
LOCATED = {
    **REMOVABLE,
    **{f"jpeg {name}": body for name, body in {**UNUSUAL_JPEG, **DIRECTORIES}.items()},
    **CHUNKS,
    **IN_PLACE,
    **LOCATED_ISO,
}
"""Every kind. Most generated images are 64 x 48 pixels."""

SECRETS = (LATITUDE_DIGITS, LATITUDE_DIGITS[::-1], b"52,31.2N", b"Berlin", b"Chile", b"+52.52")
"""Bytes of the locations. A long text that is deflated hides them."""

NOT_REMOVABLE = {
    **OVERLAPPING_ISO,
    "tiff, xmp in UTF-16 outside its tag": tiff_with(37724, WIDE_PACKET),
    "bmp, xmp in UTF-16 before its pixels": bmp_with_gap(WIDE_PACKET),
}
"""Kinds that are rejected."""

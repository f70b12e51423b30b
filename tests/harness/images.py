"""Images for tests: the samples of tests/images, and generated valid and invalid images."""

import zlib
from io import BytesIO
from pathlib import Path
from typing import Literal

from PIL import Image, TiffImagePlugin

IMAGES = Path(__file__).parents[1] / "images"

LATITUDE_DIGITS = b"\x00\x00\x00\x34\x00\x00\x00\x01"
"""52 degrees as a big-endian rational, as `exif_block` writes it. It must not be published."""

_GPS_DIRECTORY, _EXIF_DIRECTORY = 0x8825, 0x8769
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def sample(name: str) -> bytes:
    """Return a file of tests/images. tests/images/SOURCES.md has the source of each."""
    return (IMAGES / name).read_bytes()


def gradient_image(kind: str = "JPEG", size: tuple[int, int] = (64, 48), frames: int = 1) -> bytes:
    """Return a gradient in an accepted format. Each frame is rotated a little further."""
    steps = [
        Image.linear_gradient("L").rotate(20 * step).resize(size).convert("RGB")
        for step in range(frames)
    ]
    out = BytesIO()
    rest: dict[str, object] = {"save_all": True, "append_images": steps[1:]} if frames > 1 else {}
    steps[0].save(out, kind, **rest)
    return out.getvalue()


def truncated(body: bytes, fraction: float) -> bytes:
    return body[: int(len(body) * fraction)]


def html() -> bytes:
    return b"<!DOCTYPE html>\n<html><head><title>Gone</title></head><body>Gone.</body></html>\n"


def svg(prologue: str = '<?xml version="1.0"?>\n') -> bytes:
    root = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle r="4"/></svg>\n'
    return (prologue + root).encode()


def bomb_png(width: int = 12_000, height: int = 12_000) -> bytes:
    """Return a valid image of 144 megapixels in 18 KB."""
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x01\x00\x00\x00\x00"
    packer = zlib.compressobj(9)
    row = bytes(1 + (width + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return _PNG_SIGNATURE + b"".join(png_chunk(name, payload) for name, payload in chunks)


def expensive_png(side: int = 3_500) -> bytes:
    """Return 12 megapixels with alpha in 50 KB. Decoding takes about a quarter of a second of CPU time."""
    header = side.to_bytes(4, "big") * 2 + b"\x08\x06\0\0\0"
    packer = zlib.compressobj(1)
    row = b"\x04" + bytes(4 * side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return _PNG_SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(name: bytes, payload: bytes) -> bytes:
    checksum = zlib.crc32(name + payload).to_bytes(4, "big")
    return len(payload).to_bytes(4, "big") + name + payload + checksum


def png_with(*chunks: bytes, body: bytes = b"") -> bytes:
    """Return a PNG with these chunks after its header."""
    body = body or gradient_image("PNG")
    header_end = len(_PNG_SIGNATURE) + 25
    return body[:header_end] + b"".join(chunks) + body[header_end:]


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(payload) + 2).to_bytes(2, "big") + payload


def jpeg_with(*segments: bytes, body: bytes = b"") -> bytes:
    """Return a JPEG with these segments after its start marker."""
    body = body or gradient_image("JPEG")
    return body[:2] + b"".join(segments) + body[2:]


def exif_block(
    order: Literal["<", ">"] = ">",
    *,
    gps: bool = True,
    texts: dict[int, str] | None = None,
    details: dict[int, str] | None = None,
    orientation: int = 0,
) -> bytes:
    """Return an EXIF block without its prefix. `texts` are in the main directory, `details` in a sub-directory."""
    exif = Image.Exif()
    exif.endian = order
    for tag, text in (texts or {}).items():
        exif[tag] = text
    if orientation:
        exif[0x0112] = orientation
    if details:
        exif.get_ifd(_EXIF_DIRECTORY).update(details)
    if gps:
        degrees = tuple(TiffImagePlugin.IFDRational(each) for each in (52, 31, 12))
        exif.get_ifd(_GPS_DIRECTORY).update({0: b"\x02\x03\0\0", 1: "N", 2: degrees})
    return exif.tobytes().removeprefix(b"Exif\0\0")


def xmp_packet(properties: str = 'exif:GPSLatitude="52,31.2N"') -> bytes:
    """Return an XMP packet with these attributes of its description."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {properties}/></rdf:RDF></x:xmpmeta>'
    ).encode()


def iptc_dataset(number: int, value: bytes) -> bytes:
    return bytes((0x1C, 2, number)) + len(value).to_bytes(2, "big") + value


def photoshop_resource(identifier: int, payload: bytes) -> bytes:
    padding = b"\0" * (len(payload) % 2)
    header = b"8BIM" + identifier.to_bytes(2, "big") + b"\0\0" + len(payload).to_bytes(4, "big")
    return header + payload + padding


def raw_profile(kind: str, payload: bytes) -> bytes:
    """Return a PNG text chunk in the format of ImageMagick."""
    text = f"\n{kind}\n{len(payload):8d}\n{payload.hex()}\n".encode()
    return png_chunk(b"zTXt", f"Raw profile type {kind}".encode() + b"\0\0" + zlib.compress(text))


def webp_with(chunks: list[tuple[bytes, bytes]], flags: int = 0x0C) -> bytes:
    """Return a WebP in the extended format (RFC 9649, section 2.7) with these chunks after its image."""
    still = gradient_image("WEBP", (64, 48))
    extended = bytes((flags, 0, 0, 0)) + (63).to_bytes(3, "little") + (47).to_bytes(3, "little")
    parts = riff_chunk(b"VP8X", extended) + still[12:]
    parts += b"".join(riff_chunk(name, payload) for name, payload in chunks)
    return b"RIFF" + (len(parts) + 4).to_bytes(4, "little") + b"WEBP" + parts


def riff_chunk(name: bytes, payload: bytes) -> bytes:
    return name + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) % 2)


def tiff_directory(*entries: tuple[int, int, int]) -> bytes:
    """Return a little-endian TIFF with one directory. Entries are tag, count and value as LONG."""
    table = b"".join(
        tag.to_bytes(2, "little")
        + b"\4\0"
        + count.to_bytes(4, "little")
        + value.to_bytes(4, "little")
        for tag, count, value in entries
    )
    return b"II*\0\x08\0\0\0" + len(entries).to_bytes(2, "little") + table + bytes(4)


def jpeg_with_gps(order: Literal["<", ">"] = ">") -> bytes:
    return jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + exif_block(order)))


def jpeg_with_xmp_location() -> bytes:
    return jpeg_with(jpeg_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp_packet()))


def png_with_location_text() -> bytes:
    return png_with(raw_profile("exif", b"Exif\0\0" + exif_block()))


def tiff_with_gps() -> bytes:
    """Return an image whose location cannot be removed without rewriting the file."""
    out = BytesIO()
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + exif_block("<"))
    Image.linear_gradient("L").save(out, "TIFF", exif=exif)
    return out.getvalue()

"""Images with a location in a chunk or block of PNG, WebP or GIF, mostly under unusual labels."""

import zlib

from harness.images import (
    exif_block,
    gradient_image,
    png_chunk,
    png_with,
    raw_profile,
    webp_with,
    xmp_packet,
)
from harness.metadata_blocks import EXIF, credentials, gif_extension, gif_xmp

OTHER_VERSION = exif_block("<").replace(b"II*", b"II\x55", 1)


def gif_with(*extensions: bytes) -> bytes:
    return gradient_image("GIF")[:-1] + b"".join(extensions) + b";"


CHUNKS = {
    "png, unknown chunk": png_with(png_chunk(b"tXMP", xmp_packet())),
    "png, unknown chunk with exif": png_with(png_chunk(b"exIF", b"\0" + EXIF + exif_block())),
    "png, unknown chunk, deflated": png_with(
        png_chunk(b"zXMP", b"XMP\0\0" + zlib.compress(xmp_packet()))
    ),
    "png, unknown chunk with exif of another version": png_with(png_chunk(b"exIf", OTHER_VERSION)),
    "png, raw profile with exif of another version": png_with(
        raw_profile("exif", EXIF + OTHER_VERSION)
    ),
    "webp, another version after an unusual label": webp_with(
        [(b"EXIF", b"xExif\0\0" + OTHER_VERSION)]
    ),
    "png, deflated exif": png_with(
        png_chunk(b"zxIf", b"\0" + bytes(4) + zlib.compress(exif_block()))
    ),
    "png, exif after junk": png_with(png_chunk(b"eXIf", b"\0\0" + exif_block())),
    "png, content credentials": png_with(png_chunk(b"caBX", credentials())),
    "png, text with another keyword": png_with(
        png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(xmp_packet()))
    ),
    "png, text of a place": png_with(png_chunk(b"tEXt", b"Province-State\0Berlin")),
    "webp, unknown chunk": webp_with([(b"xmp ", xmp_packet())]),
    "webp, exif after junk": webp_with([(b"EXIF", b"\0\0" + exif_block())]),
    "webp, unknown chunk with exif": webp_with([(b"META", exif_block())]),
    "webp, content credentials": webp_with([(b"C2PA", credentials())]),
    "gif xmp": gif_with(gif_xmp(xmp_packet())),
    "gif xmp in sub-blocks": gif_with(gif_extension(b"\xff", b"XMP DataXMP" + xmp_packet(), 11)),
    "gif xmp in another application": gif_with(
        gif_extension(b"\xff", b"APPL  IC1.0" + xmp_packet(), 250)
    ),
    "gif xmp in a comment": gif_with(gif_extension(b"\xfe", xmp_packet(), 255)),
    "gif exif in a comment": gif_with(gif_extension(b"\xfe", EXIF + exif_block())),
}
